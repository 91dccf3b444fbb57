//! The entities, in SeaORM's new format. Deriving `Audited` says which table each is captured as; everything that SeaORM's
//! attributes say is not said again.

/// Posts. The draft's author is reached by e-mail, which nobody has to find in an audit trail.
pub(crate) mod posts {
    use sea_orm::entity::prelude::*;
    use threadline::Audited;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
    #[sea_orm(table_name = "posts")]
    #[audited(mask(author_email), require_actor)]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) title: String,
        pub(crate) published: bool,
        pub(crate) author_email: Option<String>,
        #[sea_orm(has_many)]
        pub(crate) tags: HasMany<super::tags::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

/// Tags of posts.
pub(crate) mod tags {
    use sea_orm::entity::prelude::*;
    use threadline::Audited;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
    #[sea_orm(table_name = "tags")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) post_id: i64,
        pub(crate) name: String,
        #[sea_orm(belongs_to, from = "post_id", to = "id")]
        pub(crate) post: BelongsTo<super::posts::Entity>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}
