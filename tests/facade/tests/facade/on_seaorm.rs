//! With SeaORM.

use sea_orm::{ActiveModelTrait, ActiveValue::Set, Database, EntityTrait};
use threadline::seaorm::prelude::*;
use time::OffsetDateTime;

use crate::{AnyError, Told, context, tell};

pub(crate) mod posts {
    use sea_orm::entity::prelude::*;
    use threadline::Audited;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel, Audited)]
    #[sea_orm(schema_name = "blog", table_name = "posts")]
    #[audited(mask(author_mail))]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) id: i64,
        pub(crate) title: String,
        #[sea_orm(column_name = "mail")]
        pub(crate) author_mail: Option<String>,
    }

    impl ActiveModelBehavior for ActiveModel {}
}

pub(crate) async fn install(url: &str) -> Result<(), AnyError> {
    let db = Database::connect(url).await?;
    Ok(threadline::seaorm::install_manifest(&db, &manifest![posts::Model]).await?)
}

pub(crate) async fn run(url: &str, before: OffsetDateTime) -> Result<Told, AnyError> {
    let db = AuditedDatabase::new(Database::connect(url).await?);
    let ctx = context("seaorm");

    let outcome = audited!(db, ctx, action = "post.titled", |tx| {
        let id = "7".parse()?;
        let post = posts::ActiveModel { id: Set(id), title: Set("by seaorm".to_owned()), ..Default::default() };
        post.update(tx).await?;
        Ok(())
    })
    .await?;
    let title_before = retitle(&db, &ctx, "7").await?;

    let then = db.as_of::<posts::Model>(7, before).await?.row;
    assert_eq!(then.id, 7);
    let page = db.timeline(&Timeline::new().schema("blog").table("posts")).await?;
    Ok(Told {
        transaction_id: outcome.transaction_id.ok_or("nothing was recorded")?,
        title_before,
        row_of_the_past: (then.title, then.author_mail),
        trail: page.entries.into_iter().map(tell).collect(),
    })
}

#[threadline::audited(action = "post.retitled", reason = format!("post {id}"))]
async fn retitle(db: &AuditedDatabase, ctx: &AuditContext, id: &str) -> Result<String, AnyError> {
    let post = posts::Entity::find_by_id(id.parse::<i64>()?).one(db).await?.ok_or("no such post")?;
    let next = posts::ActiveModel { id: Set(post.id), title: Set("next".to_owned()), ..Default::default() };
    next.update(db).await?;
    Ok(post.title)
}
