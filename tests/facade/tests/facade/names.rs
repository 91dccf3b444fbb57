//! A derive that reads another macro's attributes must name things as that macro does: each ORM is asked what it calls them.
#![allow(non_snake_case, reason = "names that are awkward")]

use sea_orm::{EntityTrait, IdenStatic, Iterable, PrimaryKeyToColumn};
use threadline::{Audited, AuditedTable, ModelColumn};

/// What a model's derive says, to compare with what its entity says.
fn assert_same_names<M: Audited, E: EntityTrait>(entity: E) {
    let AuditedTable { schema, table, .. } = M::audited_table();
    assert_eq!((schema.as_str(), table.as_str()), (entity.schema_name().unwrap_or("public"), entity.table_name()));
    let columns: Vec<&str> = E::Column::iter().map(|column| column.as_str()).collect();
    assert_eq!(M::columns().iter().map(ModelColumn::name).collect::<Vec<_>>(), columns);
    let mut key: Vec<&str> = E::PrimaryKey::iter().map(|column| column.into_column().as_str()).collect();
    let mut of_model: Vec<&str> = M::columns().iter().filter(|column| column.is_key()).map(ModelColumn::name).collect();
    key.sort_unstable();
    of_model.sort_unstable();
    assert_eq!(of_model, key);
}

/// An entity with awkward names, in the old format.
macro_rules! entity {
    ($name:ident, #[sea_orm($($on_struct:tt)*)]) => {
        mod $name {
            use sea_orm::entity::prelude::*;
            use threadline::Audited;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel, Audited)]
            #[sea_orm(table_name = "odd names", $($on_struct)*)]
            #[audited(mask(author_email))]
            pub(crate) struct Model {
                #[sea_orm(primary_key, auto_increment = false)]
                pub(crate) blog_id: i64,
                #[sea_orm(primary_key, auto_increment = false, column_name = "No.")]
                pub(crate) number: i32,
                pub(crate) author_email: Option<String>,
                pub(crate) line2_text: String,
                pub(crate) r#type: String,
                pub(crate) ipv4Address: String,
                pub(crate) trailing_: String,
                #[sea_orm(enum_name = "RenamedVariant")]
                pub(crate) renamed: String,
                #[sea_orm(column_type = "Decimal(Some((16, 4)))", unique, default_value = "0", comment = "a, b")]
                pub(crate) price: f64,
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub(crate) enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }

        #[test]
        fn $name() {
            assert_same_names::<$name::Model, _>($name::Entity);
        }
    };
}

entity!(as_it_is, #[sea_orm(comment = "nothing is renamed")]);
entity!(in_a_schema, #[sea_orm(schema_name = "Blog")]);
entity!(camel_case, #[sea_orm(rename_all = "camelCase")]);
entity!(pascal_case, #[sea_orm(rename_all = "PascalCase")]);
entity!(snake_case, #[sea_orm(rename_all = "snake_case")]);
entity!(kebab_case, #[sea_orm(rename_all = "kebab-case")]);
entity!(screaming_snake_case, #[sea_orm(rename_all = "SCREAMING_SNAKE_CASE")]);
entity!(screaming_kebab_case, #[sea_orm(rename_all = "SCREAMING-KEBAB-CASE")]);
entity!(lowercase, #[sea_orm(rename_all = "lowercase")]);
entity!(uppercase, #[sea_orm(rename_all = "UPPERCASE")]);
entity!(title_case, #[sea_orm(rename_all = "title_case")]);
entity!(mixed_case, #[sea_orm(rename_all = "mixed_case")]);

/// The new format, whose fields can be relations, and whose `ModelEx` is derived too.
mod related {
    pub(crate) mod author {
        use sea_orm::entity::prelude::*;
        use threadline::Audited;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
        #[sea_orm(table_name = "authors")]
        #[audited(exclude(name))]
        pub(crate) struct Model {
            #[sea_orm(primary_key)]
            pub(crate) id: i32,
            pub(crate) name: Option<String>,
            #[sea_orm(has_many)]
            pub(crate) articles: HasMany<super::article::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }

    pub(crate) mod article {
        use sea_orm::entity::prelude::*;

        #[sea_orm::model]
        #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
        #[sea_orm(table_name = "articles", model_attrs(derive(threadline::Audited)))]
        pub(crate) struct Model {
            #[sea_orm(primary_key)]
            pub(crate) id: i32,
            pub(crate) author_id: i32,
            #[sea_orm(belongs_to, from = "author_id", to = "id")]
            pub(crate) author: BelongsTo<super::author::Entity>,
        }

        impl ActiveModelBehavior for ActiveModel {}
    }
}

#[test]
fn relations_are_no_columns() {
    use related::{article, author};

    assert_same_names::<author::Model, _>(author::Entity);
    assert_same_names::<author::ModelEx, _>(author::Entity);
    assert_same_names::<article::Model, _>(article::Entity);
    assert_eq!(author::ModelEx::audited_table(), author::Model::audited_table());
}

/// sqlx tells no names, so each model reads a row in which every column has the name that its derive says.
macro_rules! row {
    ($name:ident $(, #[sqlx($($on_struct:tt)*)])?) => {
        #[tokio::test]
        async fn $name() {
            #[derive(sqlx::FromRow, threadline::Audited)]
            $(#[sqlx($($on_struct)*)])?
            #[audited(table = "odd names")]
            struct Row {
                blog_id: i32,
                #[sqlx(rename = "No.")]
                number: i32,
                line2_text: i32,
                r#type: i32,
                ipv4Address: i32,
                _private: i32,
                #[sqlx(default)]
                defaulted: i32,
            }

            let names = <Row as threadline::Audited>::columns().iter().enumerate();
            let columns: Vec<String> = names.map(|(value, column)| format!("{value} AS \"{}\"", column.name())).collect();
            let database = threadline_testkit::require_server().database().unwrap();
            let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
            let sql = sqlx::AssertSqlSafe(format!("SELECT {}", columns.join(", ")));
            let row: Row = sqlx::query_as(sql).fetch_one(&pool).await.unwrap();
            let read = [row.blog_id, row.number, row.line2_text, row.r#type, row.ipv4Address, row._private, row.defaulted];
            assert_eq!(read, [0, 1, 2, 3, 4, 5, 6]);
        }
    };
}

row!(sqlx_as_it_is);
row!(sqlx_lowercase, #[sqlx(rename_all = "lowercase")]);
row!(sqlx_snake_case, #[sqlx(rename_all = "snake_case")]);
row!(sqlx_uppercase, #[sqlx(rename_all = "UPPERCASE")]);
row!(sqlx_screaming_snake_case, #[sqlx(rename_all = "SCREAMING_SNAKE_CASE")]);
row!(sqlx_kebab_case, #[sqlx(rename_all = "kebab-case")]);
row!(sqlx_camel_case, #[sqlx(rename_all = "camelCase")]);
row!(sqlx_pascal_case, #[sqlx(rename_all = "PascalCase")]);
