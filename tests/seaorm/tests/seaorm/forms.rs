//! Everything that SeaORM writes and reads with works on an audited transaction, in both entity formats.

use futures_util::TryStreamExt;
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, DbErr,
    DerivePartialModel, EntityTrait, ModelTrait, PaginatorTrait, QueryFilter, QueryOrder, Statement, StreamTrait,
    TransactionTrait, sea_query::Expr,
};
use threadline_core::Action;

use crate::entity::{articles, authors, posts};
use crate::support::{Target, insert_post, user};

#[tokio::test]
async fn active_models_of_the_old_format() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    let post = posts::ActiveModel { id: Set(1), title: Set("a".to_owned()), published: Set(false) };
    let post = post.insert(&tx).await.unwrap();
    let mut post = posts::ActiveModel::from(post);
    post.title = Set("b".to_owned());
    let post = post.update(&tx).await.unwrap();
    post.delete(&tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -", "posts update 1 42 -", "posts delete 1 42 -"]);
}

#[tokio::test]
async fn bulk_statements_and_raw_sql() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    let posts = (1..=3).map(|id| posts::ActiveModel { id: Set(id), title: Set("a".to_owned()), published: Set(false) });
    posts::Entity::insert_many(posts).exec(&tx).await.unwrap();
    posts::Entity::update_many()
        .col_expr(posts::Column::Published, Expr::value(true))
        .filter(posts::Column::Id.gt(2))
        .exec(&tx)
        .await
        .unwrap();
    tx.execute_unprepared("UPDATE posts SET title = 'raw' WHERE id = 2").await.unwrap();
    let raw = Statement::from_sql_and_values(DbBackend::Postgres, "DELETE FROM posts WHERE id = $1", [1_i64.into()]);
    tx.execute_raw(raw).await.unwrap();
    tx.commit().await.unwrap();
    let expected = [
        "posts insert 1 42 -",
        "posts insert 2 42 -",
        "posts insert 3 42 -",
        "posts update 3 42 -",
        "posts update 2 42 -",
        "posts delete 1 42 -",
    ];
    assert_eq!(target.trail(), expected);
}

fn author(name: &str, titles: [&str; 2]) -> authors::ActiveModelEx {
    titles.into_iter().fold(authors::ActiveModel::builder().set_name(name), |author, title| {
        author.add_article(articles::ActiveModel::builder().set_title(title))
    })
}

#[tokio::test]
async fn a_nested_save_through_a_session_is_attributed() {
    let target = Target::new();
    let db = target.audited(1);
    author("Ursula", ["first", "second"]).save(&db.with(&user("42"))).await.unwrap();
    assert_eq!(target.trail(), ["authors insert 1 42 -", "articles insert 1 42 -", "articles insert 2 42 -"]);
    assert_eq!(target.count("threadline.audit_transactions"), 1);
}

#[tokio::test]
async fn a_nested_save_through_the_database_is_attributed_to_the_current_context() {
    let target = Target::new();
    let db = target.audited(1);
    user("42").scope(author("Ursula", ["first", "second"]).save(&db)).await.unwrap();
    assert_eq!(target.trail(), ["authors insert 1 42 -", "articles insert 1 42 -", "articles insert 2 42 -"]);
    let error = author("Nobody", ["a", "b"]).save(&db).await.unwrap_err();
    assert!(threadline_seaorm::Error::from(error).is_missing_actor());
    assert_eq!((target.count("authors"), target.trail().len()), (1, 3));
}

#[tokio::test]
async fn a_nested_save_inside_a_transaction_is_attributed() {
    let target = Target::new();
    target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            tx.record_action(&Action::new("author.imported")).await?;
            let saved = author("Ursula", ["first", "second"]).save(tx).await?;
            saved.delete(tx).await
        })
        .await
        .unwrap();
    let trail = target.trail();
    assert_eq!(trail.len(), 6, "{trail:?}");
    assert!(trail.iter().all(|change| change.ends_with(" 42 author.imported")), "{trail:?}");
    assert_eq!(target.count("authors"), 0);
}

#[tokio::test]
async fn streams_paginators_partial_models_and_loads() {
    #[derive(DerivePartialModel)]
    #[sea_orm(entity = "posts::Entity")]
    struct Title {
        title: String,
    }
    let target = Target::new();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    for id in 1..=5 {
        insert_post(&tx, id).await.unwrap();
    }
    let streamed: Vec<posts::Model> = posts::Entity::find().stream(&tx).await.unwrap().try_collect().await.unwrap();
    assert_eq!(streamed.len(), 5);
    let raw = Statement::from_string(DbBackend::Postgres, "SELECT id FROM posts");
    let rows: Vec<_> = tx.stream_raw(raw).await.unwrap().try_collect().await.unwrap();
    assert_eq!(rows.len(), 5);
    let pages = posts::Entity::find().order_by_asc(posts::Column::Id).paginate(&tx, 2);
    assert_eq!(pages.num_pages().await.unwrap(), 3);
    assert_eq!(pages.fetch_page(2).await.unwrap()[0].id, 5);
    let titles: Vec<Title> = posts::Entity::find().into_partial_model().all(&tx).await.unwrap();
    assert_eq!(titles[0].title, "title");
    author("Ursula", ["first", "second"]).save(&tx).await.unwrap();
    let loaded = authors::Entity::load().with(articles::Entity).all(&tx).await.unwrap();
    assert_eq!(loaded[0].articles.len(), 2);
    tx.commit().await.unwrap();
    assert_eq!(target.trail().len(), 8);
}

/// Half a stream, then a write: the rest of its rows is skipped, and the change is attributed.
#[tokio::test]
async fn a_stream_that_is_dropped_half_way_spares_the_transaction() {
    let target = Target::new();
    let tx = target.audited(1).begin(&user("42")).await.unwrap();
    for id in 1..=5 {
        insert_post(&tx, id).await.unwrap();
    }
    {
        let mut stream = posts::Entity::find().stream(&tx).await.unwrap();
        assert!(stream.try_next().await.unwrap().is_some());
    }
    tx.nested(Some(&user("inner")), async |tx| insert_post(tx, 6).await).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail().last().unwrap(), "posts insert 6 inner -");
}

#[tokio::test]
async fn functions_of_the_users_take_it() {
    async fn generic<C: ConnectionTrait>(db: &C, id: i64) -> Result<(), DbErr> {
        insert_post(db, id).await
    }
    async fn begins<C: TransactionTrait>(db: &C, id: i64) -> Result<(), DbErr> {
        let tx = db.begin().await?;
        generic(&tx, id).await?;
        sea_orm::TransactionSession::commit(tx).await
    }
    async fn closures<C: TransactionTrait + Send>(db: &C, id: i64) -> Result<(), DbErr> {
        let done = db.transaction::<_, (), DbErr>(move |tx| Box::pin(async move { generic(tx, id).await })).await;
        done.map_err(|error| DbErr::Custom(error.to_string()))
    }
    async fn plain(tx: &DatabaseTransaction, id: i64) -> Result<(), DbErr> {
        generic(tx, id).await
    }
    let target = Target::new();
    let db = target.audited(1);
    let session = db.with(&user("42"));
    begins(&session, 1).await.unwrap();
    closures(&session, 2).await.unwrap();
    let tx = session.begin().await.unwrap();
    begins(&tx, 3).await.unwrap();
    closures(&tx, 4).await.unwrap();
    plain(&tx, 5).await.unwrap();
    tx.commit().await.unwrap();
    let trail = target.trail();
    assert_eq!(trail.len(), 5);
    assert!(trail.iter().all(|change| change.ends_with(" 42 -")), "{trail:?}");
}

/// A restricted transaction keeps the one inside to itself and refuses raw statements, so it cannot be audited. What it
/// would allow runs on the audited one.
#[tokio::test]
async fn a_restricted_connection_decides_and_an_audited_transaction_runs() {
    use sea_orm::QueryTrait;
    use sea_orm::rbac::{RbacEngine, RbacSnapshot, RbacUserId};

    let target = Target::new();
    let connection = target.connection(1);
    connection.replace_rbac(RbacEngine::from_snapshot(RbacSnapshot::danger_unrestricted()));
    let restricted = connection.restricted_for(RbacUserId(0)).unwrap();
    let post = posts::ActiveModel { id: Set(1), title: Set("a".to_owned()), published: Set(false) };
    let query = posts::Entity::insert(post).into_query();
    let tx = threadline_seaorm::AuditedDatabase::new(connection).begin(&user("42")).await.unwrap();
    restricted.user_can_run(&query).unwrap();
    tx.execute(&query).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(target.trail(), ["posts insert 1 42 -"]);
    let refused = restricted.begin().await.unwrap().execute_unprepared("SELECT 1").await.unwrap_err();
    assert!(matches!(refused, DbErr::RbacError(_)), "{refused}");
}
