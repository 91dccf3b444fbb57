//! Errors keep what they were made from, in both directions.

use std::error::Error as _;

use threadline::sqlx::Error;

use crate::support::{Target, insert_post, on_both, run, user};

on_both! {
    a_database_error_passes_through_unchanged,
    a_kernel_error_of_the_users_statement_is_recognised,
    an_error_of_ours_comes_back_out_of_sqlx,
}

async fn a_database_error_passes_through_unchanged(target: Target) {
    let error: Error = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            insert_post(tx, 1).await?;
            insert_post(tx, 1).await?;
            Ok(())
        })
        .await
        .unwrap_err();
    assert_eq!(error.sqlstate().as_deref(), Some("23505"));
    let error = sqlx::Error::from(error);
    let error = error.as_database_error().unwrap();
    assert!(error.is_unique_violation());
    assert_eq!(error.constraint(), Some("posts_pkey"));
}

async fn a_kernel_error_of_the_users_statement_is_recognised(target: Target) {
    let mut tx = target.pool(1).begin().await.unwrap();
    let error = Error::from(run(&mut tx, "INSERT INTO payments VALUES (1, 5)").await.unwrap_err());
    assert!(error.is_missing_actor());
    let ours = error.as_core().unwrap();
    assert_eq!((ours.code(), ours.table()), ("missing_actor", Some("public.payments")));
    assert!(ours.remedy().unwrap().contains("threadline.actor_ref"));
    assert_eq!(error.sqlstate().as_deref(), Some("TL001"), "the driver's error is kept");
    assert!(error.source().is_some());
}

async fn an_error_of_ours_comes_back_out_of_sqlx(target: Target) {
    let error: sqlx::Error = target
        .audited(1)
        .transaction(&user("42"), async |tx| {
            let _ = run(tx, "SELECT 1 / 0").await;
            Ok(())
        })
        .await
        .unwrap_err();
    let ours = Error::from_sqlx(&error).unwrap();
    assert!(ours.is_rolled_back());
    assert_eq!(ours.sqlstate().as_deref(), Some("25P02"));
    assert!(Error::from(error).is_rolled_back());
}
