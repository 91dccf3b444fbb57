//! SeaORM's mock: the user's statements alone are sent, in the transaction that the user's code asks for.

use sea_orm::{DatabaseBackend, DbErr, EntityTrait, MockDatabase, MockExecResult, Transaction};
use threadline_core::{Action, ActionId, AuditContext};
use threadline_seaorm::{AuditedDatabase, Trail};

use crate::entity::posts;
use crate::support::{insert_post, user};

fn post(id: i64) -> posts::Model {
    posts::Model { id, title: "title".to_owned(), published: false }
}

#[tokio::test]
async fn a_mocked_transaction_has_no_statement_of_ours() {
    let mock = MockDatabase::new(DatabaseBackend::Postgres)
        .append_query_results([[post(1)], [post(2)]])
        .append_exec_results([MockExecResult { last_insert_id: 0, rows_affected: 1 }]);
    let db = AuditedDatabase::new(mock.into_connection());
    let outcome = db
        .with(&user("42"))
        .options(sea_orm::IsolationLevel::Serializable)
        .transaction(async |tx| {
            insert_post(tx, 1).await?;
            assert_eq!(tx.record_action(&Action::new("post.published")).await?, ActionId(0));
            tx.nested(Some(&user("inner")), async |tx| insert_post(tx, 2).await).await?;
            posts::Entity::delete_by_id(1_i64).exec(tx).await
        })
        .await
        .unwrap();
    assert_eq!((outcome.transaction_id, outcome.value.rows_affected), (None, 1));
    let log: Vec<Transaction> = db.unaudited().clone().into_transaction_log();
    assert_eq!(log.len(), 1, "{log:?}");
    let sql: Vec<&str> = log[0].statements().iter().map(|statement| statement.sql.as_str()).collect();
    let expected = [
        "BEGIN",
        r#"INSERT INTO "posts" ("id", "title") VALUES ($1, $2) RETURNING "id", "title", "published""#,
        "SAVEPOINT savepoint_1",
        r#"INSERT INTO "posts" ("id", "title") VALUES ($1, $2) RETURNING "id", "title", "published""#,
        "RELEASE SAVEPOINT savepoint_1",
        r#"DELETE FROM "posts" WHERE "posts"."id" = $1"#,
        "COMMIT",
    ];
    assert_eq!(sql, expected);
}

#[tokio::test]
async fn a_mocked_error_rolls_back() {
    let mock = MockDatabase::new(DatabaseBackend::Postgres).append_query_errors([DbErr::Custom("mocked".to_owned())]);
    let db = AuditedDatabase::new(mock.into_connection());
    let session = db.with(&user("42")).on_error_record(Action::new("post.publish"));
    let error = session.transaction(async |tx| insert_post(tx, 1).await).await.unwrap_err();
    assert_eq!(error, DbErr::Custom("mocked".to_owned()));
    let log = format!("{:?}", db.unaudited().clone().into_transaction_log());
    assert!(log.contains("ROLLBACK") && !log.contains("threadline"), "{log}");
}

#[tokio::test]
async fn a_missing_actor_is_refused_with_a_mock_too() {
    let db = AuditedDatabase::new(MockDatabase::new(DatabaseBackend::Postgres).into_connection());
    let error = db.begin(&AuditContext::without_actor()).await.unwrap_err();
    assert!(error.is_missing_actor(), "{error}");
}

#[tokio::test]
async fn a_mocked_read_is_one_statement() {
    use std::collections::BTreeMap;

    let row = BTreeMap::from([("version", sea_orm::Value::from("3"))]);
    let db = AuditedDatabase::new(
        MockDatabase::new(DatabaseBackend::Postgres).append_query_results([[row]]).into_connection(),
    );
    assert_eq!(db.run(&threadline_core::InstalledVersion).await.unwrap(), Some(3));
    let log = db.unaudited().clone().into_transaction_log();
    assert_eq!((log.len(), log[0].statements().len()), (1, 1), "{log:?}");
}
