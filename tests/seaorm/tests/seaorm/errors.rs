//! Errors keep their causes and find their way through SeaORM's types.

use std::error::Error as StdError;

use sea_orm::{DbBackend, DbErr, MockDatabase, TransactionTrait};
use threadline_core::{Export, InstalledVersion, Timeline};
use threadline_seaorm::{AuditedDatabase, Error, Trail, install};
use threadline_testkit::require_server;

use crate::support::{Target, user};

#[tokio::test]
async fn a_missing_kernel_is_told_as_such() {
    let database = require_server().database().unwrap();
    let db = AuditedDatabase::new(Target::connection_to(database.url(), 1));
    let error = db.timeline(&Timeline::new()).await.unwrap_err();
    assert!(error.is_not_installed(), "{error}");
    assert!(error.as_db_err().is_some(), "the cause is kept");
    let error: DbErr = db.transaction(&user("42"), async |_| Ok::<_, DbErr>(())).await.unwrap_err();
    assert!(Error::from_orm(&error).unwrap().is_not_installed(), "{error}");
    assert!(error.to_string().contains("threadline install"), "{error}");
    assert_eq!(db.run(&InstalledVersion).await.unwrap(), None);
}

#[tokio::test]
async fn another_backend_is_a_clear_error() {
    for backend in [DbBackend::MySql, DbBackend::Sqlite] {
        let db = AuditedDatabase::new(MockDatabase::new(backend).into_connection());
        let errors = [
            db.begin(&user("42")).await.unwrap_err(),
            db.timeline(&Timeline::new()).await.unwrap_err(),
            db.export_to(Export::new(Timeline::new()), Vec::new()).await.unwrap_err(),
            install(db.unaudited(), db.schema()).await.unwrap_err(),
        ];
        for error in errors {
            assert!(error.is_unsupported_backend(), "{error}");
            assert!(error.to_string().contains(backend.as_str()), "{error}");
        }
        let tx = db.unaudited().begin().await.unwrap();
        let error = threadline_seaorm::attach(&user("42"), &tx).await.unwrap_err();
        assert!(error.is_unsupported_backend(), "{error}");
    }
    let db = AuditedDatabase::new(sea_orm::DatabaseConnection::default());
    assert!(db.begin(&user("42")).await.unwrap_err().is_unsupported_backend());
    assert!(db.export_to(Export::new(Timeline::new()), Vec::new()).await.unwrap_err().is_unsupported_backend());
}

#[tokio::test]
async fn the_source_chain_leads_to_the_driver() {
    let target = Target::new();
    let db = target.audited(1);
    let nobody = threadline_core::AuditContext::without_actor().allow_missing_actor();
    let error: Error = db
        .transaction(&nobody, async |tx| {
            let pay = "INSERT INTO payments VALUES (1, 5)";
            sea_orm::ConnectionTrait::execute_unprepared(tx, pay).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert!(error.is_missing_actor());
    assert!(error.source().unwrap().is::<DbErr>());
    let through: DbErr = error.into();
    let inner = Error::from_orm(&through).unwrap();
    assert!(inner.is_missing_actor() && inner.as_core().unwrap().table() == Some("public.payments"));
}
