//! Models of an application whose tables are audited.

use crate::AuditedTable;

/// A model whose table is audited: the struct that an ORM reads rows into.
///
/// Derive it. The derive macro reads the ORM's own attributes for the table, its schema, its key and its columns, and
/// `#[audited(..)]` for the policy.
///
/// [`manifest!`](crate::manifest) collects models, and reads in the past give them back.
///
/// # Examples
/// By hand, which is what the derive macro writes:
/// ```
/// use threadline_core::{Audited, AuditedTable, CapturePolicy, ModelColumn, manifest};
///
/// struct Post {
///     id: i64,
///     title: String,
///     author_email: Option<String>,
/// }
///
/// impl Audited for Post {
///     fn audited_table() -> AuditedTable {
///         AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["author_email"]))
///     }
///
///     fn columns() -> &'static [ModelColumn] {
///         &const {
///             [
///                 ModelColumn::new("id").key(),
///                 ModelColumn::new("title"),
///                 ModelColumn::new("author_email").nullable(),
///             ]
///         }
///     }
/// }
///
/// assert_eq!(manifest![Post].tables(), [Post::audited_table()]);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an audited model",
    label = "this type does not say which table it is audited as",
    note = "derive it on the struct that rows are read into: `#[derive(Audited)]`",
    note = "with SeaORM that is `Model`, not `Entity`"
)]
pub trait Audited {
    /// The table, and what is captured of it.
    fn audited_table() -> AuditedTable;

    /// The columns that the model reads, in the order of its fields.
    fn columns() -> &'static [ModelColumn];
}

/// One column that a model reads.
///
/// # Examples
/// ```
/// use threadline_core::ModelColumn;
///
/// const EMAIL: ModelColumn = ModelColumn::new("author_email").nullable();
/// assert_eq!(EMAIL.name(), "author_email");
/// assert!(EMAIL.is_nullable() && !EMAIL.is_key());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ModelColumn {
    name: &'static str,
    label: &'static str,
    nullable: bool,
    key: bool,
}

impl ModelColumn {
    /// A column that always has a value and is not of the key, named as PostgreSQL stores it.
    pub const fn new(name: &'static str) -> Self {
        Self { name, label: name, nullable: false, key: false }
    }

    /// The model's decoder looks for it under another name, as Diesel does where `table!` calls a column otherwise.
    pub const fn labelled(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    /// The model can hold NULL: its field is an `Option`.
    pub const fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// It is of the key that the model finds its row by.
    pub const fn key(mut self) -> Self {
        self.key = true;
        self
    }

    /// The column's name, as PostgreSQL stores it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it is called in the rows that the model is decoded from: its name unless said.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        self.label
    }

    /// Whether the model can hold NULL.
    #[must_use]
    pub const fn is_nullable(&self) -> bool {
        self.nullable
    }

    /// Whether it is of the key.
    #[must_use]
    pub const fn is_key(&self) -> bool {
        self.key
    }
}

/// A [`Manifest`](crate::Manifest) of the tables of these [models](crate::Audited).
///
/// # Examples
/// ```
/// # use threadline_core::{Audited, AuditedTable, ModelColumn};
/// # struct Post;
/// # impl Audited for Post {
/// #     fn audited_table() -> AuditedTable { AuditedTable::new("public", "posts") }
/// #     fn columns() -> &'static [ModelColumn] { &[] }
/// # }
/// # mod comments {
/// #     use threadline_core::{Audited, AuditedTable, ModelColumn};
/// #     pub struct Model;
/// #     impl Audited for Model {
/// #         fn audited_table() -> AuditedTable { AuditedTable::new("public", "comments") }
/// #         fn columns() -> &'static [ModelColumn] { &[] }
/// #     }
/// # }
/// use threadline_core::manifest;
///
/// let manifest = manifest![Post, comments::Model];
/// assert_eq!(manifest.tables().len(), 2);
/// assert!(manifest![].tables().is_empty());
/// ```
#[macro_export]
macro_rules! manifest {
    ($($model:ty),* $(,)?) => {
        $crate::Manifest::new()$(.table(<$model as $crate::Audited>::audited_table()))*
    };
}

#[cfg(test)]
mod tests {
    use crate::{Audited, AuditedTable, ModelColumn};

    struct Model<const TABLE: char>;

    impl<const TABLE: char> Audited for Model<TABLE> {
        fn audited_table() -> AuditedTable {
            AuditedTable::new("public", TABLE.to_string())
        }

        fn columns() -> &'static [ModelColumn] {
            &const { [ModelColumn::new("id").key(), ModelColumn::new("note").nullable()] }
        }
    }

    #[test]
    fn a_manifest_keeps_the_order_of_its_models() {
        let manifest = manifest![Model<'b'>, Model<'a'>,];
        let names: Vec<String> = manifest.tables().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["public.b", "public.a"]);
        assert!(manifest![].tables().is_empty());
    }

    #[test]
    fn a_column_is_plain_unless_said() {
        let [id, note] = Model::<'a'>::columns() else { panic!("two columns") };
        assert_eq!((id.name(), id.is_key(), id.is_nullable()), ("id", true, false));
        assert_eq!((note.label(), note.labelled("remark").label()), ("note", "remark"));
        assert_eq!((note.name(), note.is_key(), note.is_nullable()), ("note", false, true));
    }
}
