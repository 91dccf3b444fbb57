//! A scope narrows every read, and nothing widens it.

use futures_util::TryStreamExt;
use threadline::sqlx::{Error, ScopedPool, Trail};
use threadline::{
    ActorHistory, ActorRef, AsOf, AuditContext, Correlation, CountChanges, Export, ExportPiece, Incident, Json,
    RowAsOf, RowHistory, RowKey, Scope, Timeline,
};
use time::{Duration, OffsetDateTime};

use crate::history::{Bounds, Wanted};
use crate::world::{TENANTS, WORLD, World, database, pool};

#[tokio::test]
async fn what_is_out_of_scope_is_not_there() {
    let database = database();
    let db = pool(database.url()).scoped();
    let mut ids = Vec::new();
    for (id, tenant) in [(1, "acme"), (2, "umbrella")] {
        let context = AuditContext::new(ActorRef::user("1").unwrap()).correlation_id("c-1").meta("tenant", tenant);
        let outcome = db
            .transaction(&context, async |tx| {
                let sql = format!("INSERT INTO posts VALUES ({id}, 'x', 1, '{tenant}')");
                sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await?;
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        ids.push(outcome.transaction_id.unwrap());
    }
    let everything = Timeline::new().table("posts");
    assert_eq!(db.unscoped().timeline(&everything).await.unwrap().entries.len(), 2);
    for scope in [Scope::meta("tenant", "acme"), Scope::field("tenant", "acme")] {
        let acme = db.scope(scope);
        let mine = |table_pk: &Option<threadline::Json>| table_pk.as_ref().unwrap().get() == r#"{"id": 1}"#;
        let page = acme.timeline(&everything).await.unwrap();
        assert!(page.entries.len() == 1 && mine(&page.entries[0].change.table_pk));
        assert_eq!(acme.count_changes(&CountChanges::of(everything.clone())).await.unwrap().count, 1);
        assert!(acme.row_history(&RowHistory::by_id("public", "posts", 2)).await.unwrap().is_empty());
        let bundle = acme.correlation(&Correlation::of("c-1")).await.unwrap();
        assert_eq!(bundle.changes.entries.len(), 1);
        let history = acme.actor_history(&ActorHistory::of(&ActorRef::user("1").unwrap())).await.unwrap();
        assert_eq!(history.entries.iter().map(|entry| entry.transaction.id).collect::<Vec<_>>(), ids[..1]);
        assert!(acme.find_transaction(ids[0]).await.is_ok() && acme.incident(&Incident::of(ids[0])).await.is_ok());
        for error in
            [acme.find_transaction(ids[1]).await.unwrap_err(), acme.incident(&Incident::of(ids[1])).await.unwrap_err()]
        {
            assert!(error.as_core().unwrap().is_not_found(), "{error}");
        }
        assert_eq!(acme.stream(everything.clone()).try_collect::<Vec<_>>().await.unwrap().len(), 1);
        let pieces: Vec<ExportPiece> = acme.export(Export::new(everything.clone())).try_collect().await.unwrap();
        assert!(matches!(pieces.last(), Some(ExportPiece::Done(summary)) if summary.returned_count == 1));
        // A scope that a filter brings along narrows further.
        let other = everything.clone().scope(&Scope::meta("tenant", "umbrella"));
        assert!(acme.timeline(&other).await.unwrap().is_empty());
    }
    let error = db.scope(Scope::field("", 1)).timeline(&everything).await.unwrap_err();
    assert_eq!(error.as_core().unwrap().setting(), Some("scope"));
}

async fn write(db: &ScopedPool, tenant: &str, sql: &'static str) {
    let context = AuditContext::new(ActorRef::user("1").unwrap()).meta("tenant", tenant);
    let done = db.transaction(&context, async |tx| sqlx::raw_sql(sql).execute(&mut **tx).await.map_err(Error::from));
    done.await.unwrap();
}

/// The row as of the instant in a scope: its tenant and title, or the code of the error.
async fn row(db: &ScopedPool, scope: &Scope, table: &str, id: i64, at: OffsetDateTime) -> String {
    let (schema, table) = table.split_once('.').unwrap();
    match db.scope(scope.clone()).as_of_json(&AsOf::by_id(schema, table, id, at)).await {
        Ok(row) => {
            let row: serde_json::Value = row.decode().unwrap();
            format!("{} {}", row["tenant"].as_str().unwrap(), row["title"].as_str().unwrap())
        }
        Err(error) => error.as_core().unwrap().code().to_owned(),
    }
}

#[tokio::test]
async fn a_row_as_of_an_instant_is_in_scope_by_its_columns_and_its_last_change() {
    let database = database();
    let db = pool(database.url()).scoped();
    let [acme, umbrella] = ["acme", "umbrella"].map(|tenant| Scope::field("tenant", tenant));
    let [by_acme, by_umbrella] = ["acme", "umbrella"].map(|tenant| Scope::meta("tenant", tenant));
    let never = "never_existed";

    // Full images and lean ones: who had the row then, and who changed it last.
    for (table, insert, hand_over) in [
        (
            "public.posts",
            "INSERT INTO posts VALUES (1, 'theirs', 0, 'acme')",
            "UPDATE posts SET tenant = 'umbrella', title = 'ours' WHERE id = 1",
        ),
        (
            "public.notes",
            "INSERT INTO notes VALUES (1, 'theirs', 0, 'acme')",
            "UPDATE notes SET tenant = 'umbrella', title = 'ours' WHERE id = 1",
        ),
    ] {
        write(&db, "acme", insert).await;
        let then = OffsetDateTime::now_utc();
        write(&db, "umbrella", hand_over).await;
        let now = OffsetDateTime::now_utc();
        for (first, second) in [(&acme, &umbrella), (&by_acme, &by_umbrella)] {
            assert_eq!(row(&db, first, table, 1, then).await, "acme theirs");
            assert_eq!(row(&db, second, table, 1, then).await, never);
            assert_eq!(row(&db, first, table, 1, now).await, never, "{table}: handed over");
            assert_eq!(row(&db, second, table, 1, now).await, "umbrella ours");
        }
        let both = acme.clone().and(by_umbrella.clone());
        assert_eq!(row(&db, &both, table, 1, then).await, never);
        let elsewhere = Scope::schemas(["app"]);
        assert_eq!(row(&db, &elsewhere, table, 1, now).await, never);
        assert_eq!(row(&db, &Scope::schemas(["public"]), table, 1, now).await, "umbrella ours");
    }

    // Why a row is gone is its tenant's to know.
    write(&db, "acme", "INSERT INTO posts VALUES (2, 'x', 0, 'acme'), (3, 'x', 0, 'acme')").await;
    write(&db, "acme", "DELETE FROM posts WHERE id = 2; UPDATE posts SET id = 30 WHERE id = 3").await;
    let now = OffsetDateTime::now_utc();
    for (scopes, deleted, moved) in
        [([&acme, &by_acme], "deleted_record", "moved_key"), ([&umbrella, &by_umbrella], never, never)]
    {
        for scope in scopes {
            assert_eq!(row(&db, scope, "public.posts", 2, now).await, deleted);
            assert_eq!(row(&db, scope, "public.posts", 3, now).await, moved);
        }
    }

    // A row that was there before capture and did not change has nothing but its columns.
    database
        .execute(
            "CREATE TABLE old (id int PRIMARY KEY, title text, tenant text); INSERT INTO old VALUES (1, 'x', 'acme');
            SELECT threadline.enable_capture('old', '{}')",
        )
        .unwrap();
    let now = OffsetDateTime::now_utc();
    assert_eq!(row(&db, &acme, "public.old", 1, now).await, "acme x");
    for scope in [&umbrella, &by_acme, &by_umbrella] {
        assert_eq!(row(&db, scope, "public.old", 1, now).await, never);
    }
    let before = OffsetDateTime::now_utc() - Duration::days(1);
    for (table, id) in [("public.old", 1), ("public.posts", 1), ("public.posts", 999)] {
        assert_eq!(row(&db, &umbrella, table, id, before).await, "before_horizon", "{table} {id}");
    }
}

/// The row, or the code of the error.
fn told(answer: Result<RowAsOf<Json>, Error>) -> Result<serde_json::Value, &'static str> {
    match answer {
        Ok(row) => Ok(row.decode().unwrap()),
        Err(error) => Err(error.as_core().unwrap_or_else(|| panic!("{error:?}")).code()),
    }
}

#[tokio::test]
async fn a_row_of_the_past_is_told_in_a_scope_exactly_when_its_columns_or_its_last_change_are_in_it() {
    let mut world = World::new(5);
    for _ in 0..40 {
        world.write().await;
    }
    let entries = world.history.entries.clone();
    let mut seen = [0; 2];
    for _ in 0..100 {
        let [change, other] = [(); 2].map(|()| &entries[world.random.usize(..entries.len())].change);
        let Some(key) = &change.table_pk else { continue };
        let (schema, table) = (&*change.table_schema, &*change.table_name);
        let at = other.captured_at + Duration::microseconds(world.random.i64(-1..2));
        let as_of = AsOf::new(schema, table, RowKey::try_from(key).unwrap(), at);
        let whole = told(world.db.as_of_json(&as_of).await);

        let [table] = WORLD.iter().filter(|known| known.name == table).collect::<Vec<_>>()[..] else {
            panic!("{table}")
        };
        let of_key = Wanted {
            tables: vec![(table.schema, table.name)],
            key: Some(key.decode().unwrap()),
            until: Some(at),
            ..Wanted::default()
        };
        let last = world.history.matching(&of_key).into_iter().next();
        let tenant = TENANTS[world.random.usize(..TENANTS.len())];
        for scope in [Bounds::Meta(tenant), Bounds::Field(tenant), Bounds::Schema("app")] {
            let changed_in = |scope: &Bounds| {
                let wanted = Wanted { scope: Some(scope.clone()), ..Wanted::default() };
                last.as_ref().is_some_and(|last| wanted.matches(last))
            };
            let in_scope = match (&scope, &whole) {
                (Bounds::Field(tenant), Ok(row)) => row["tenant"] == *tenant,
                (scope, _) => changed_in(scope),
            };
            let expected = if in_scope { whole.clone() } else { Err("never_existed") };
            let found = told(world.db.as_of_json(&as_of.clone().scope(&scope.scope())).await);
            assert_eq!(found, expected, "{as_of:?} in {scope:?}, last changed by {last:?}");
            seen[usize::from(in_scope)] += 1;
        }
    }
    assert!(seen.iter().all(|number| *number > 30), "{seen:?}");
}
