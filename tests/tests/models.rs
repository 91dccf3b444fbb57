//! Models of sqlx: what `#[derive(Audited)]` reads from their attributes, with `audited!` in scope, whose name the
//! attribute has too.
#![allow(dead_code, reason = "models that nothing reads into")]

use threadline::sqlx::prelude::*;
use threadline::{ModelColumn, OnTruncate};

#[derive(Debug, sqlx::FromRow, Audited)]
#[audited(table = "posts", mask(author_email), exclude(password_hash), except(views), require_actor)]
struct Post {
    id: i64,
    title: String,
    #[sqlx(rename = "mail")]
    author_email: Option<String>,
    password_hash: Option<String>,
    views: i32,
    #[sqlx(skip)]
    cached: bool,
}

#[derive(Audited, sqlx::FromRow)]
#[sqlx(rename_all = "camelCase")]
#[audited(table = "Odd", schema = "app", key(a, r#type), images = "lean", truncate = "refuse")]
struct Odd<T> {
    a: i32,
    r#type: String,
    some_thing: Option<T>,
}

mod elsewhere {
    #[derive(threadline::Audited)]
    #[audited(table = "comments", crate = "threadline")]
    pub(super) struct Model {
        pub(super) id: i64,
    }
}

#[test]
fn a_manifest_collects_tables_and_policies() {
    let manifest = manifest![Post, Odd<i32>, elsewhere::Model];
    let names: Vec<String> = manifest.tables().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["public.posts", "app.Odd", "public.comments"]);
    manifest.validate().unwrap();

    let policy =
        CapturePolicy::new().mask(["mail"]).exclude(["password_hash"]).except_columns(["views"]).require_actor();
    assert_eq!(Post::audited_table().policy, policy);
    assert_eq!(Odd::<i32>::audited_table().policy, CapturePolicy::new().lean().truncate(OnTruncate::Refuse));
}

#[test]
fn columns_are_called_as_in_the_database() {
    assert_eq!(told::<Post>(), ["id key", "title", "mail null", "password_hash null", "views"]);
    assert_eq!(told::<Odd<i32>>(), ["a key", "type key", "someThing null"]);
}

fn told<M: Audited>() -> Vec<String> {
    let tell = |column: &ModelColumn| {
        let key = if column.is_key() { " key" } else { "" };
        let null = if column.is_nullable() { " null" } else { "" };
        format!("{}{key}{null}", column.name())
    };
    M::columns().iter().map(tell).collect()
}
