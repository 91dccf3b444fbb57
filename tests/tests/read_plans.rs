//! Reads stay fast on a big trail: at 200,000 changes over 24 monthly partitions every page is found through indexes, in
//! few partitions, with a bounded number of pages read. What is asserted is what the server counts, never time.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use threadline::sqlx::Trail;
use threadline::{
    ActionStatus, ActorHistory, ActorRef, AsOf, ChangeOp, Correlation, CountChanges, Cursor, Incident, Operation,
    RowHistory, RowKey, Schema, Statement, Timeline, TransactionId, kernel,
};
use threadline_testkit::{Database, require_server, trail_script};
use time::{Duration, OffsetDateTime};

const CHANGES: u32 = 200_000;

/// What a page may read, in blocks of 8 kB: of 17,000 that the trail and its indexes have. Half of it is looking up 51
/// transactions in 24 partitions.
const FEW_BLOCKS: i64 = 5_000;

/// What a page may read through indexes, in rows: before its 51 are found, up to 2,001 entries of an index are counted, and
/// 501 transactions.
const MANY_ROWS: i64 = 10_000;

/// A partition with so few rows may be read as it is.
const FEW_ROWS: i64 = 500;

/// How the server plans a statement that it knows already: with the values at hand, or once for all values.
const PLANS: [&str; 2] = ["force_custom_plan", "force_generic_plan"];

/// In the table `plans`, over the months: keys that change, some at one instant, and TRUNCATEs.
const MOVES_AND_TRUNCATES: &str = "
    INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, previous_key_hash, table_schema,
        table_name, op, table_pk, previous_pk, data_after, changed_fields, changed_from)
    SELECT 10000000 + n, '1', now() - n / 2 * interval '11 days', threadline.key_hash('public', 'plans', k.pk),
        threadline.key_hash('public', 'plans', k.previous), 'public', 'plans', 'update', k.pk, k.previous, k.pk, '{id}', k.previous
    FROM generate_series(1, 130) AS n CROSS JOIN LATERAL (
        SELECT jsonb_build_object('id', n % 7) AS pk, jsonb_build_object('id', n % 5 + 1) AS previous) AS k
    WHERE k.pk <> k.previous;
    INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op)
    SELECT 10001000 + n, '1', now() - n * interval '44 days', threadline.table_hash('public', 'plans'), 'public', 'plans', 'truncate'
    FROM generate_series(5, 14) AS n;
    INSERT INTO threadline.audit_transactions (id, xid, occurred_at, session_role, current_role_name, application_name)
    SELECT c.transaction_id, c.xid, c.captured_at, 'app', 'app', 'shop' FROM threadline.audit_changes AS c WHERE c.transaction_id > 10000000;
";

/// A trail that all tests read.
fn trail() -> &'static Database {
    static TRAIL: OnceLock<Database> = OnceLock::new();
    TRAIL.get_or_init(|| {
        let database = require_server().database().unwrap();
        database.execute(&kernel::install_script(&Schema::default())).unwrap();
        database.execute(&trail_script(CHANGES)).unwrap();
        database.execute(MOVES_AND_TRUNCATES).unwrap();
        // As autovacuum does it: partition by partition.
        let partitions = "SELECT format('ANALYZE %s', relid::regclass) FROM (SELECT relid, isleaf FROM \
            pg_partition_tree('threadline.audit_changes') UNION ALL SELECT relid, isleaf FROM \
            pg_partition_tree('threadline.audit_transactions')) AS p WHERE isleaf";
        let analyze: Vec<String> = database.query_text(partitions).unwrap().into_iter().flatten().flatten().collect();
        database
            .execute(&format!(
                "SET default_statistics_target = 10; {}; ANALYZE threadline.audit_actions",
                analyze.join("; ")
            ))
            .unwrap();
        database
    })
}

/// What the server did for one statement.
#[derive(Debug)]
struct Work {
    /// Blocks read, in memory or not.
    blocks: i64,
    /// Rows read without an index, in tables of the trail.
    without_index: i64,
    /// Rows read through indexes, in tables of the trail.
    through_index: i64,
    /// Partitions of changes that were looked at.
    partitions: usize,
    /// Partitions of transactions that were planned with: planning takes a lock on each that it cannot leave out.
    planned: i64,
}

/// What the server has counted in this session.
#[derive(Debug)]
struct Counted {
    without_index: i64,
    through_index: i64,
    /// How often each partition of changes was scanned.
    scans: BTreeMap<String, i64>,
}

async fn counted(connection: &mut PgConnection) -> Counted {
    let sql = "SELECT relname::text, seq_tup_read, coalesce(idx_tup_fetch, 0), seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables \
        WHERE schemaname = 'threadline' AND relname ~ '^audit_(changes|transactions|actions)'";
    let rows: Vec<(String, i64, i64, i64)> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    Counted {
        without_index: rows.iter().map(|(_, rows, ..)| rows).sum(),
        through_index: rows.iter().map(|(_, _, rows, _)| rows).sum(),
        scans: rows
            .into_iter()
            .filter(|(name, ..)| name.starts_with("audit_changes_"))
            .map(|(name, _, _, scans)| (name, scans))
            .collect(),
    }
}

struct Reader {
    connection: PgConnection,
}

impl Reader {
    async fn new() -> Self {
        let options: PgConnectOptions = trail().url().parse().unwrap();
        Self { connection: options.connect().await.unwrap() }
    }

    async fn run<O: Operation>(&mut self, operation: &O) -> O::Output {
        let statement = operation.statement(&Schema::default()).unwrap();
        let mut query = sqlx::query_scalar::<_, String>(AssertSqlSafe(statement.sql().to_owned()));
        for param in statement.params() {
            query = query.bind(param.clone());
        }
        let rows = query.fetch_all(&mut self.connection).await.unwrap();
        operation.decode(rows).unwrap()
    }

    /// The place in the middle of the trail where a later page begins.
    async fn middle(&mut self) -> Cursor {
        self.run(&Timeline::new().until(a_year_ago()).limit(1)).await.next.unwrap()
    }

    /// What a statement does when the session has run it before, so that it need not look into the catalog any more.
    async fn work(&mut self, statement: &Statement, plans: &str) -> Work {
        self.explain(statement, plans).await;
        self.explain(statement, plans).await
    }

    async fn explain(&mut self, statement: &Statement, plans: &str) -> Work {
        let mut tx = self.connection.begin().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(format!("SET LOCAL jit = off; SET LOCAL plan_cache_mode = {plans}")))
            .execute(&mut *tx)
            .await
            .unwrap();
        let before = counted(&mut tx).await;
        let mut query = sqlx::query_scalar::<_, Value>(AssertSqlSafe(format!(
            "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {}",
            statement.sql()
        )));
        for param in statement.params() {
            query = query.bind(param.clone());
        }
        let plan = query.fetch_one(&mut *tx).await.unwrap();
        let after = counted(&mut tx).await;
        let planned = "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation \
            WHERE l.pid = pg_backend_pid() AND c.relkind = 'r' AND c.relname LIKE 'audit\\_transactions\\_%'";
        let planned = sqlx::query_scalar(planned).fetch_one(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        let top = &plan[0]["Plan"];
        let blocks = ["Shared Hit Blocks", "Shared Read Blocks"].map(|name| top[name].as_i64().unwrap());
        Work {
            blocks: blocks.iter().sum(),
            without_index: after.without_index - before.without_index,
            through_index: after.through_index - before.through_index,
            partitions: after.scans.iter().filter(|(name, scans)| before.scans.get(*name) != Some(*scans)).count(),
            planned,
        }
    }
}

/// A read and what it has to be found by.
struct Case {
    name: String,
    timeline: Timeline,
}

fn user(id: &str) -> ActorRef {
    ActorRef::user(id).unwrap()
}

/// A page for each filter that has an index, of rare values and of hot ones.
fn cases() -> Vec<Case> {
    let mut cases = vec![("everything".to_owned(), Timeline::new())];
    for table in ["orders", "customers", "plans", "flags"] {
        cases.push((format!("table {table}"), Timeline::new().table(table)));
    }
    for id in [1, 2, 300, 999_999_999, -1] {
        cases.push((format!("key {id}"), Timeline::new().table_in("public", "orders").key(id)));
    }
    cases.push(("text key".to_owned(), Timeline::new().table_in("public", "customers").key("customer-1")));
    let line = RowKey::columns([("order_id", json!(1)), ("line", json!(3))]);
    cases.push(("composite key".to_owned(), Timeline::new().table_in("public", "order_lines").key(line)));
    for id in [1, 7, 50_001] {
        cases.push((format!("transaction {id}"), Timeline::new().transaction_id(TransactionId(id))));
    }
    for value in ["rare", "scarce", "common", "hot", "nobody"] {
        cases.push((format!("actor {value}"), Timeline::new().actor(&user(value))));
        cases.push((format!("correlation {value}"), Timeline::new().correlation_id(value)));
        cases.push((format!("request {value}"), Timeline::new().request_id(value)));
        cases.push((format!("job {value}"), Timeline::new().job_id(value)));
        cases.push((format!("action {value}"), Timeline::new().action(value)));
    }
    cases.push(("no actor".to_owned(), Timeline::new().actor(None)));
    let orders = || Timeline::new().table_in("public", "orders");
    let (days, month) = (OffsetDateTime::now_utc() - Duration::days(3), OffsetDateTime::now_utc() - Duration::days(30));
    cases.push(("actor long gone".to_owned(), Timeline::new().actor(&user("gone"))));
    cases.push(("two tables".to_owned(), orders().table("flags")));
    cases.push(("table and op".to_owned(), orders().op(ChangeOp::Insert)));
    cases.push(("table and changed field".to_owned(), orders().changed_field("total")));
    // One that was never changed, and one that is not there, are looked up in the catalog too.
    let flags = || Timeline::new().table_in("public", "flags");
    cases.push(("rare table, field never changed".to_owned(), flags().changed_field("note")));
    cases.push(("rare table, unknown field".to_owned(), flags().changed_field("status").changed_field("titel")));
    cases.push(("status since some days".to_owned(), Timeline::new().action_status(ActionStatus::Error).since(days)));
    cases.push(("op since a month".to_owned(), Timeline::new().op(ChangeOp::Delete).since(month)));
    let hot = Timeline::new().actor(&user("hot"));
    cases.push(("hot actor, rare table".to_owned(), hot.clone().table("flags")));
    cases.push(("hot actor, hot table".to_owned(), hot.clone().table("orders")));
    cases.push(("hot actor, rare job".to_owned(), hot.job_id("rare")));
    cases.into_iter().map(|(name, timeline)| Case { name, timeline }).collect()
}

/// The middle of the trail.
fn a_year_ago() -> OffsetDateTime {
    OffsetDateTime::now_utc() - Duration::days(365)
}

#[tokio::test]
async fn a_page_reads_few_blocks_whatever_it_is_filtered_by() {
    let mut reader = Reader::new().await;
    let mut failures = Vec::new();
    let middle = reader.middle().await;
    for Case { name, timeline } in cases() {
        for (place, timeline) in [("first", timeline.clone()), ("later", timeline.cursor(middle))] {
            let statement = timeline.statement(&Schema::default()).unwrap();
            for plans in PLANS {
                let work = reader.work(&statement, plans).await;
                // Where to begin the way back to somebody who is long gone, one month tells.
                let most = if name == "actor long gone" { MANY_ROWS + i64::from(CHANGES) / 24 } else { MANY_ROWS };
                if work.blocks > FEW_BLOCKS || work.without_index > FEW_ROWS || work.through_index > most {
                    failures.push(format!("{name}, {place} page, {plans}: {work:?}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn a_page_of_what_is_frequent_looks_at_few_partitions() {
    let mut reader = Reader::new().await;
    let middle = reader.middle().await;
    let everything = Timeline::new();
    let frequent = [
        ("everything", everything.clone()),
        ("table", everything.clone().table("orders")),
        ("actor", everything.clone().actor(&user("hot"))),
        ("correlation", everything.clone().correlation_id("hot")),
        ("request", everything.clone().request_id("hot")),
        ("job", everything.clone().job_id("hot")),
        ("action", everything.action("hot")),
    ];
    for (name, timeline) in frequent {
        let work = reader.work(&timeline.statement(&Schema::default()).unwrap(), PLANS[0]).await;
        assert!((1..=4).contains(&work.planned), "{name}: {work:?}");
        let work = reader.work(&timeline.cursor(middle).statement(&Schema::default()).unwrap(), PLANS[0]).await;
        assert!((1..=4).contains(&work.partitions) && (1..=4).contains(&work.planned), "{name}: {work:?}");
    }
    let months = Timeline::new().table("orders").op(ChangeOp::Delete);
    let months = months.since(a_year_ago() - Duration::days(40)).until(a_year_ago());
    let work = reader.work(&months.statement(&Schema::default()).unwrap(), PLANS[0]).await;
    assert!(work.partitions <= 4, "a time range: {work:?}");
}

#[tokio::test]
async fn a_row_as_it_was_reads_few_blocks() {
    let mut reader = Reader::new().await;
    for id in [1, 2, 300, 999_999_999] {
        for at in [OffsetDateTime::now_utc(), a_year_ago(), OffsetDateTime::now_utc() - Duration::days(600)] {
            let statement = AsOf::by_id("public", "orders", id, at).statement(&Schema::default()).unwrap();
            for plans in PLANS {
                let work = reader.work(&statement, plans).await;
                assert!(work.blocks <= 300 && work.without_index == 0, "{id} at {at}, {plans}: {work:?}");
            }
        }
    }
}

/// The look-ups stop where what is asked for has been found; whatever they leave out must lie beyond it.
#[test]
fn the_changes_of_a_row_are_found_over_all_months() {
    let sql = "
        WITH asked AS MATERIALIZED (
            SELECT jsonb_build_object('id', k) AS key, p.at, p.id, most
            FROM unnest(ARRAY[0, 1, 2, 6, 7, 999, -1]) AS k CROSS JOIN unnest(ARRAY[1, 2, 32, 1000000]) AS most CROSS JOIN (
                SELECT now() - n * interval '33 days' AS at, 9223372036854775807 AS id FROM generate_series(0, 22, 2) AS n
                UNION ALL SELECT 'infinity', 0
                UNION ALL SELECT captured_at, c.id FROM threadline.audit_changes c
                    WHERE table_name = 'plans' AND (op = 'truncate' OR previous_pk IS NOT NULL AND c.id % 5 = 0)) AS p
        ), touching AS MATERIALIZED (
            SELECT k.key, c.captured_at AS at, c.id FROM (SELECT DISTINCT key FROM asked) AS k JOIN threadline.audit_changes c
            ON c.table_name = 'plans' AND (c.table_pk = k.key OR c.previous_pk = k.key OR c.op = 'truncate')
        )
        SELECT format('%s of %s around %s', most, key, at) FROM asked AS a WHERE
            ARRAY(SELECT c.id FROM threadline.row_changes_before('public', 'plans', key, at, id, most) AS c
                  ORDER BY c.captured_at DESC, c.id DESC LIMIT most)
            <> ARRAY(SELECT t.id FROM touching AS t WHERE t.key = a.key AND (t.at, t.id) < (a.at, a.id) ORDER BY t.at DESC, t.id DESC LIMIT most)
            OR ARRAY(SELECT c.id FROM threadline.row_changes_after('public', 'plans', key, at, id, most) AS c
                  ORDER BY c.captured_at, c.id LIMIT most)
            <> ARRAY(SELECT t.id FROM touching AS t WHERE t.key = a.key AND (t.at, t.id) > (a.at, a.id) ORDER BY t.at, t.id LIMIT most)";
    assert_eq!(trail().query_text(sql).unwrap(), Vec::<Vec<_>>::new());
    let asked = "SELECT count(*)::text FROM threadline.row_changes_before('public', 'plans', '{\"id\": 1}', 'infinity', 0, 1000000)";
    let found = trail().query_text(asked).unwrap()[0][0].clone().unwrap();
    assert!(found.parse::<u32>().unwrap() > 40, "there is something to find: {found}");
}

#[tokio::test]
async fn bundles_and_histories_read_few_blocks() {
    let mut reader = Reader::new().await;
    let schema = Schema::default();
    let statements = [
        ("row history", RowHistory::by_id("public", "orders", 1).limit(50).statement(&schema)),
        ("actor, hot", ActorHistory::of(&user("hot")).statement(&schema)),
        ("actor, scarce", ActorHistory::of(&user("scarce")).statement(&schema)),
        ("no actor", ActorHistory::of(None).statement(&schema)),
        ("correlation, hot", Correlation::of("hot").limit(50).statement(&schema)),
        ("correlation, rare", Correlation::of("rare").statement(&schema)),
        ("correlation, everyday", Correlation::of("correlation-13333").statement(&schema)),
        ("actor, rare", ActorHistory::of(&user("rare")).statement(&schema)),
        ("incident", Incident::of(TransactionId(7)).statement(&schema)),
        ("count", CountChanges::of(Timeline::new().actor(&user("rare"))).statement(&schema)),
    ];
    for (name, statement) in statements {
        let statement = statement.unwrap();
        let work = reader.work(&statement, PLANS[0]).await;
        let few = work.blocks <= FEW_BLOCKS && work.without_index <= FEW_ROWS && work.through_index <= MANY_ROWS;
        assert!(few, "{name}: {work:?}");
    }
}

#[tokio::test]
async fn the_counters_see_what_is_read() {
    let mut reader = Reader::new().await;
    let all = Statement::new("SELECT count(*) FROM threadline.audit_changes WHERE op = 'never'");
    let work = reader.work(&all, PLANS[0]).await;
    assert!(work.without_index >= i64::from(CHANGES) && work.blocks > FEW_BLOCKS, "{work:?}");
    let some = "SELECT count(data_after) FROM (SELECT * FROM threadline.audit_changes ORDER BY captured_at, id LIMIT 300) AS c";
    let work = reader.work(&Statement::new(some), PLANS[0]).await;
    assert!(work.through_index >= 300, "{work:?}");
}

/// Pages over many partitions are what plain SQL says, for whoever is found by ids, by ranges and by walking.
#[tokio::test]
async fn pages_over_months_are_complete() {
    const NEWEST: usize = 3_000;
    let options: PgConnectOptions = trail().url().parse().unwrap();
    let db = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let then = OffsetDateTime::now_utc() - Duration::days(400);
    let orders = || Timeline::new().schema("public").table("orders");
    let before = format!("c.captured_at <= '{then}'::timestamptz");
    let cases: [(Timeline, &str); 12] = [
        (Timeline::new(), "true"),
        (Timeline::new().until(then), &before),
        (Timeline::new().actor(&user("hot")), "t.actor_ref ->> 'id' = 'hot'"),
        (Timeline::new().actor(&user("gone")), "t.actor_ref ->> 'id' = 'gone'"),
        (Timeline::new().actor(&user("user-77")), "t.actor_ref ->> 'id' = 'user-77'"),
        (Timeline::new().action("hot"), "a.name = 'hot'"),
        (Timeline::new().action("rare"), "a.name = 'rare'"),
        (Timeline::new().table("flags"), "c.table_name = 'flags'"),
        (Timeline::new().table("plans"), "c.table_name = 'plans'"),
        (Timeline::new().table("flags").table("customers"), "c.table_name IN ('flags', 'customers')"),
        (
            orders().actor(&user("gone")).op(ChangeOp::Insert),
            "c.table_name = 'orders' AND c.op = 'insert' AND t.actor_ref ->> 'id' = 'gone'",
        ),
        (orders().op(ChangeOp::Delete), "c.table_name = 'orders' AND c.op = 'delete'"),
    ];
    for (timeline, condition) in cases {
        let from = format!(
            "FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
             LEFT JOIN threadline.audit_actions a ON a.id = t.action_id WHERE {condition}"
        );
        let column = |sql: &str| -> Vec<String> {
            trail().query_text(sql).unwrap().into_iter().map(|row| row[0].clone().unwrap()).collect()
        };
        let all: u64 = column(&format!("SELECT count(*) {from}"))[0].parse().unwrap();
        let newest = column(&format!("SELECT c.id {from} ORDER BY c.captured_at DESC, c.id DESC LIMIT {NEWEST}"));
        assert!(all > 0, "{condition}");
        let cap = 300_000;
        let count = db.count_changes(&CountChanges::of(timeline.clone()).cap(cap)).await.unwrap();
        assert_eq!(count.count, all, "{condition}");
        let mut found = Vec::new();
        let mut page = db.timeline(&timeline.clone().limit(997)).await.unwrap();
        loop {
            found.extend(page.entries.iter().map(|entry| entry.change.id.to_string()));
            let Some(cursor) = page.next.filter(|_| found.len() < NEWEST) else { break };
            page = db.timeline(&timeline.clone().limit(997).cursor(cursor)).await.unwrap();
        }
        found.truncate(NEWEST);
        assert_eq!(found, newest, "{condition}");
    }
}

#[test]
fn what_has_no_index_needs_something_that_narrows() {
    let broad = || {
        [
            ("op", Timeline::new().op(ChangeOp::Delete)),
            ("changed_field", Timeline::new().changed_field("status")),
            ("action_category", Timeline::new().action_category("orders")),
            ("action_status", Timeline::new().action_status(ActionStatus::Error)),
        ]
    };
    for (setting, timeline) in broad() {
        let error = timeline.statement(&Schema::default()).unwrap_err();
        assert_eq!(error.setting(), Some(setting));
        assert!(error.to_string().contains("whole trail"), "{error}");
    }
    type Narrow = fn(Timeline) -> Timeline;
    let narrow: [Narrow; 6] = [
        |timeline| timeline.since(a_year_ago()),
        |timeline| timeline.table("orders"),
        |timeline| timeline.actor(&user("hot")),
        |timeline| timeline.request_id("r"),
        |timeline| timeline.action("order.paid"),
        |timeline| timeline.transaction_id(TransactionId(7)),
    ];
    for (_, timeline) in broad() {
        for narrow in narrow {
            narrow(timeline.clone()).statement(&Schema::default()).unwrap();
        }
    }
}
