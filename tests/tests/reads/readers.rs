//! A role with the rights of a reader can ask everything, and no table of the application.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use threadline::sqlx::Trail;
use threadline::{
    ActorHistory, ActorRef, AsOf, Audited, AuditedTable, Correlation, CountChanges, Export, ModelColumn, RowHistory,
    Timeline,
};
use time::OffsetDateTime;

use crate::world::database;

#[derive(sqlx::FromRow)]
struct Post {
    id: i32,
}

impl Audited for Post {
    fn audited_table() -> AuditedTable {
        AuditedTable::new("public", "posts")
    }

    fn columns() -> &'static [ModelColumn] {
        &const { [ModelColumn::new("id").key()] }
    }
}

#[tokio::test]
async fn a_reader_can_ask_everything() {
    let database = database();
    let sql = "DO $$ BEGIN CREATE ROLE threadline_test_reader;
            EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
        SELECT threadline.grant_reader('threadline_test_reader');
        INSERT INTO posts VALUES (1, 'x', 1, 'acme'); UPDATE posts SET n = 2";
    database.execute(sql).unwrap();
    let options = database.url().parse::<PgConnectOptions>().unwrap().options([("role", "threadline_test_reader")]);
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let user = ActorRef::user("1").unwrap();
    let posts = || Timeline::new().table("posts");
    assert_eq!(pool.timeline(&posts()).await.unwrap().entries.len(), 2);
    assert!(pool.timeline(&posts().actor(&user).correlation_id("c").action("a")).await.unwrap().is_empty());
    assert_eq!(pool.timeline(&posts().actor(None)).await.unwrap().entries.len(), 2);
    assert_eq!(pool.row_history(&RowHistory::by_id("public", "posts", 1)).await.unwrap().entries.len(), 2);
    assert_eq!(pool.count_changes(&CountChanges::of(posts())).await.unwrap().count, 2);
    assert_eq!(pool.actor_history(&ActorHistory::of(None)).await.unwrap().entries.len(), 1);
    assert!(pool.correlation(&Correlation::of("c")).await.unwrap().changes.is_empty());
    assert_eq!(pool.export_to(Export::new(posts()), Vec::new()).await.unwrap().returned_count, 2);
    let now = OffsetDateTime::now_utc();
    assert!(pool.as_of_json(&AsOf::by_id("public", "posts", 1, now)).await.is_ok());
    assert_eq!(pool.as_of::<Post>(1, now).await.unwrap().id, 1);
    let error = sqlx::query("SELECT FROM posts").execute(&pool).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("42501"));
}
