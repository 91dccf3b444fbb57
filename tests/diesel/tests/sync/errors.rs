//! Errors keep what they were made from, in both directions.

use std::error::Error as _;

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use threadline_diesel::Error;
use threadline_diesel::prelude::*;

use crate::support::{Target, insert_post, on_both, run, user};

on_both! {
    a_database_error_passes_through_unchanged,
    a_kernel_error_of_the_users_statement_is_recognised,
    an_error_of_ours_comes_back_out_of_diesel,
}

fn a_database_error_passes_through_unchanged(target: &Target) {
    let error: Error = target
        .connect()
        .audited(&user("42"), |conn| {
            insert_post(conn, 1)?;
            insert_post(conn, 1)?;
            Ok(())
        })
        .unwrap_err();
    assert_eq!(error.sqlstate(), Some("23505"));
    let DieselError::DatabaseError(kind, information) = DieselError::from(error) else { panic!("another variant") };
    assert_eq!((kind, information.constraint_name()), (DatabaseErrorKind::UniqueViolation, Some("posts_pkey")));
}

fn a_kernel_error_of_the_users_statement_is_recognised(target: &Target) {
    let refused = target.connect().transaction(|conn| run(conn, "INSERT INTO payments VALUES (1, 5)"));
    let error = Error::from(refused.unwrap_err());
    assert!(error.is_missing_actor());
    let ours = error.as_core().unwrap();
    assert_eq!((ours.code(), ours.table()), ("missing_actor", Some("payments")), "Diesel does not tell the schema");
    assert!(ours.remedy().unwrap().contains("threadline.actor_ref"));
    assert!(matches!(error.as_diesel(), Some(DieselError::DatabaseError(..))), "the driver's error is kept");
    assert!(error.source().is_some());
}

fn an_error_of_ours_comes_back_out_of_diesel(target: &Target) {
    let error: DieselError = target
        .connect()
        .audited(&user("42"), |conn| {
            let _ = run(conn, "SELECT 1 / 0");
            Ok(())
        })
        .unwrap_err();
    assert!(Error::from_orm(&error).unwrap().is_rolled_back());
    assert!(Error::from(error).is_rolled_back());
}
