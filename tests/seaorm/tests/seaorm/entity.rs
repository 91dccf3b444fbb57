//! The entities that the tests write: one in SeaORM's old format, two in its new one.

pub(crate) mod posts {
    use sea_orm::entity::prelude::*;
    use threadline_macros::Audited;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
    #[sea_orm(table_name = "posts")]
    #[audited(crate = "threadline_core")]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) title: String,
        pub(crate) published: bool,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod authors {
    use sea_orm::entity::prelude::*;
    use threadline_macros::Audited;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
    #[sea_orm(table_name = "authors")]
    #[audited(crate = "threadline_core")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i32,
        pub(crate) name: String,
        #[sea_orm(has_many)]
        pub(crate) articles: HasMany<super::articles::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) mod articles {
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "articles")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i32,
        pub(crate) author_id: i32,
        pub(crate) title: String,
        #[sea_orm(belongs_to, from = "author_id", to = "id")]
        pub(crate) author: BelongsTo<super::authors::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
