//! Which columns a model reads, and from which table.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Path, Type};

use super::case;
use super::foreign::Entries;
use super::options::{Named, Options};

/// Whose attributes say what things are called.
enum Source {
    SeaOrm { entries: Entries },
    Diesel { entries: Entries, table: Option<Path> },
    Sqlx { entries: Option<Entries> },
}

/// A model with the names of the database.
pub(crate) struct Model {
    pub(crate) table: Table,
    pub(crate) columns: Vec<Column>,
}

/// Where its rows are.
pub(crate) enum Table {
    /// Known by name.
    Named { schema: Option<LitStr>, table: LitStr },
    /// Known to Diesel's `table!` at this path.
    OfDiesel { schema: Option<LitStr>, path: Path },
}

/// One column that it reads.
pub(crate) struct Column {
    field: Ident,
    name: Name,
    pub(crate) nullable: bool,
    pub(crate) key: bool,
}

/// A column's name, as an expression that is constant.
enum Name {
    Text(String, Span),
    /// What `table!` calls the column; it may be another name in SQL.
    OfDiesel {
        table: Path,
        column: Ident,
    },
}

impl Model {
    pub(crate) fn of(input: &DeriveInput, options: &Options) -> syn::Result<Self> {
        let fields = named_fields(input)?;
        let source = Source::of(&input.attrs, &fields);
        let table = source.table(input, options)?;
        let mut columns = Vec::new();
        for field in fields {
            if let Some(attribute) = field.attrs.iter().find(|attribute| attribute.path().is_ident("audited")) {
                return Err(Error::new_spanned(
                    attribute,
                    "`#[audited(..)]` stands on the struct and names the field there, as in `#[audited(mask(email))]`",
                ));
            }
            columns.extend(source.column(field));
        }
        let mut model = Self { table, columns };
        if let Some(key) = &options.key {
            model.set_key(key)?;
        }
        Ok(model)
    }

    fn set_key(&mut self, key: &[Named]) -> syn::Result<()> {
        for column in &mut self.columns {
            column.key = false;
        }
        for named in key {
            let Named::Field(field) = named else {
                return Err(Error::new(named.span(), "name the field, without quotes"));
            };
            match self.columns.iter_mut().find(|column| column.is(field)) {
                Some(column) => column.key = true,
                None => return Err(self.no_field(field)),
            }
        }
        Ok(())
    }

    /// The names of columns in an option such as `mask(..)`.
    pub(crate) fn names(&self, named: &[Named]) -> syn::Result<Vec<TokenStream>> {
        let name = |named: &Named| LitStr::new(&named.text(), named.span()).into_token_stream();
        named.iter().map(|named| Ok(self.find(named)?.map_or_else(|| name(named), Column::name))).collect()
    }

    /// The column that is named; `None` for one that the model does not read.
    pub(crate) fn find(&self, named: &Named) -> syn::Result<Option<&Column>> {
        match named {
            Named::Field(field) => {
                self.columns.iter().find(|column| column.is(field)).map(Some).ok_or_else(|| self.no_field(field))
            }
            Named::Column(text) => Ok(self.columns.iter().find(|column| column.is_called(&text.value()))),
        }
    }

    fn no_field(&self, field: &Ident) -> Error {
        let fields: Vec<String> = self.columns.iter().map(|column| format!("`{}`", column.field)).collect();
        Error::new(
            field.span(),
            format!(
                "no column is read into a field `{field}`; there are {}. A column that this struct does not read goes in \
                 quotes: \"{field}\"",
                fields.join(", ")
            ),
        )
    }
}

impl Column {
    /// The name, as an expression that is constant.
    pub(crate) fn name(&self) -> TokenStream {
        match &self.name {
            Name::Text(text, span) => LitStr::new(text, *span).into_token_stream(),
            Name::OfDiesel { table, column } => {
                let span = column.span();
                quote_spanned!(span=> <#table::columns::#column as ::diesel::Column>::NAME)
            }
        }
    }

    /// What the model's decoder calls it, where that can be another name.
    pub(crate) fn label(&self) -> Option<String> {
        match &self.name {
            Name::Text(..) => None,
            Name::OfDiesel { column, .. } => Some(column.unraw().to_string()),
        }
    }

    fn is(&self, field: &Ident) -> bool {
        self.field.unraw() == field.unraw()
    }

    fn is_called(&self, text: &str) -> bool {
        match &self.name {
            Name::Text(name, _) => name == text,
            Name::OfDiesel { column, .. } => column.unraw() == text,
        }
    }
}

impl Source {
    /// The one whose attributes stand on the struct, else the one whose attributes stand on a field.
    fn of(attributes: &[Attribute], fields: &[&Field]) -> Self {
        let on_field = |name: &str| fields.iter().any(|field| Entries::of(&field.attrs, name).is_some());
        let find = |name: &str| Entries::of(attributes, name);
        let or_empty = |name: &str| on_field(name).then(Entries::empty);
        if let Some(entries) = find("sea_orm") {
            return Self::SeaOrm { entries };
        }
        if let Some(entries) = find("diesel") {
            return Self::diesel(entries);
        }
        if let Some(entries) = or_empty("sea_orm") {
            return Self::SeaOrm { entries };
        }
        match or_empty("diesel") {
            Some(entries) => Self::diesel(entries),
            None => Self::Sqlx { entries: find("sqlx") },
        }
    }

    fn diesel(entries: Entries) -> Self {
        let table = entries.assigned("table_name").or_else(|| entries.text("table_name")?.parse().ok());
        Self::Diesel { entries, table }
    }

    fn table(&self, input: &DeriveInput, options: &Options) -> syn::Result<Table> {
        let (schema, table) = match self {
            Self::SeaOrm { entries } => (entries.text("schema_name"), entries.text("table_name")),
            Self::Diesel { table: Some(path), .. } if options.table.is_none() => {
                return Ok(Table::OfDiesel { schema: options.schema.clone(), path: path.clone() });
            }
            Self::Diesel { .. } | Self::Sqlx { .. } => (None, None),
        };
        let schema = options.schema.clone().or(schema);
        match options.table.clone().or(table) {
            Some(table) => Ok(Table::Named { schema, table }),
            None => Err(Error::new(
                input.ident.span(),
                "nothing says which table this is: add `#[audited(table = \"..\")]`, or the ORM's own attribute \
                 `#[sea_orm(table_name = \"..\")]` or `#[diesel(table_name = ..)]`",
            )),
        }
    }

    /// The column of a field; `None` when it is none.
    fn column(&self, field: &Field) -> Option<Column> {
        let ident = field.ident.as_ref()?;
        let plain = ident.unraw().to_string();
        let entries = |name: &str| Entries::of(&field.attrs, name).unwrap_or_else(Entries::empty);
        let (name, key) = match self {
            Self::SeaOrm { entries: on_struct } => {
                let entries = entries("sea_orm");
                if entries.has("ignore") || is_relation(&field.ty) {
                    return None;
                }
                let name = entries.text("column_name").map_or_else(
                    || {
                        let rename_all = on_struct.text("rename_all").map(|text| text.value());
                        let enum_name = entries.text("enum_name").map(|text| text.value());
                        case::sea_orm(&plain, rename_all.as_deref(), enum_name.as_deref())
                    },
                    |name| name.value(),
                );
                (Name::Text(name, ident.span()), entries.has("primary_key"))
            }
            Self::Diesel { entries: on_struct, table } => {
                let entries = entries("diesel");
                if entries.has("embed") || entries.has("select_expression") {
                    return None;
                }
                let column = entries
                    .assigned::<Ident>("column_name")
                    .or_else(|| entries.text("column_name")?.parse().ok())
                    .unwrap_or_else(|| ident.clone());
                let key = match on_struct.names("primary_key") {
                    Some(names) => names.iter().any(|name| name.unraw() == column.unraw()),
                    None => column == "id",
                };
                let name = match table {
                    Some(table) => Name::OfDiesel { table: table.clone(), column },
                    None => Name::Text(column.unraw().to_string(), column.span()),
                };
                (name, key)
            }
            Self::Sqlx { entries: on_struct } => {
                let entries = entries("sqlx");
                if entries.has("skip") || entries.has("flatten") {
                    return None;
                }
                let name = entries.text("rename").map_or_else(
                    || {
                        let rename_all = on_struct.as_ref().and_then(|on_struct| on_struct.text("rename_all"));
                        case::sqlx(&plain, rename_all.map(|text| text.value()).as_deref())
                    },
                    |name| name.value(),
                );
                (Name::Text(name, ident.span()), plain == "id")
            }
        };
        Some(Column { field: ident.clone(), name, nullable: ends_in(&field.ty, &["Option"]), key })
    }
}

/// The fields of a struct that has names for them.
fn named_fields(input: &DeriveInput) -> syn::Result<Vec<&Field>> {
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields.named.iter().collect()),
            Fields::Unnamed(_) | Fields::Unit => Err(no_model(input)),
        },
        Data::Enum(_) | Data::Union(_) => Err(no_model(input)),
    }
}

fn no_model(input: &DeriveInput) -> Error {
    Error::new(input.ident.span(), "`Audited` is for structs with named fields, each a column of the table")
}

/// SeaORM's fields that stand for rows of other tables.
fn is_relation(ty: &Type) -> bool {
    ends_in(ty, &["HasOne", "HasMany", "BelongsTo"])
}

fn ends_in(ty: &Type, names: &[&str]) -> bool {
    let Type::Path(path) = ty else { return false };
    path.path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}
