//! The service as its callers see it, and what the trail says of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use example_sqlx::archive::archive_closed;
use example_sqlx::{AppState, router};
use serde_json::{Value, json};
use sqlx::PgPool;
use threadline::sqlx::Trail;
use threadline::{FinishProbe, StartProbe};
use threadline_testkit::{Database, require_server};
use tower::ServiceExt;

struct Service {
    router: Router,
    pool: PgPool,
    database: Database,
}

impl Service {
    async fn new() -> Self {
        let database = require_server().database().unwrap();
        let pool = PgPool::connect(database.url()).await.unwrap();
        let state = AppState::open(pool.clone()).await.unwrap();
        Self { router: router(state), pool, database }
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn post(&self, path: &str, user: Option<&str>, body: &Value) -> (StatusCode, Value) {
        let mut request =
            Request::post(path).header("content-type", "application/json").header("x-request-id", "req-7");
        if let Some(user) = user {
            request = request.header("x-user-id", user);
        }
        self.call(request.body(Body::from(body.to_string())).unwrap()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// One ticket, opened by user 42.
    async fn opened(&self) -> i64 {
        let ticket = json!({"subject": "The printer is on fire", "email": "ann@example.com"});
        let (status, answer) = self.post("/tickets", Some("42"), &ticket).await;
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        assert!(answer["audit_transaction"].is_i64(), "{answer}");
        answer["id"].as_i64().unwrap()
    }

    fn actions(&self) -> Vec<String> {
        let sql = "SELECT concat_ws(' ', name, status, actor_ref ->> 'id') FROM threadline.audit_actions ORDER BY id";
        let rows = self.database.query_text(sql).unwrap();
        rows.into_iter().flatten().map(Option::unwrap).collect()
    }
}

#[tokio::test]
async fn the_history_of_a_ticket_says_who_and_why() {
    let service = Service::new().await;
    let id = service.opened().await;
    let closing = json!({"reason": "it burned down"});
    let (status, _) = service.post(&format!("/tickets/{id}/close"), Some("7"), &closing).await;
    assert_eq!(status, StatusCode::OK);

    let (_, history) = service.get(&format!("/tickets/{id}/history")).await;
    let told: Vec<String> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            format!("{} {} {} {} {}", entry["op"], entry["by"], entry["request"], entry["action"], entry["reason"])
        })
        .collect();
    assert_eq!(
        told,
        [
            r#""update" "user:7" "req-7" "ticket.closed" "it burned down""#,
            r#""insert" "user:42" "req-7" "ticket.opened" null"#
        ]
    );
    assert_eq!(service.actions(), ["ticket.opened ok 42", "ticket.closed ok 7", "message.queued ok mailer"]);

    let opened_at = history[1]["at"].as_str().unwrap();
    let (_, then) = service.get(&format!("/tickets/{id}/at/{opened_at}")).await;
    assert_eq!(then, json!({"id": id, "subject": "The printer is on fire", "email": null, "status": "open"}));
    let (status, _) = service.get(&format!("/tickets/{id}/at/yesterday")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_trail_answers_what_the_query_string_asks() {
    let service = Service::new().await;
    let id = service.opened().await;
    service.post(&format!("/tickets/{id}/close"), Some("7"), &json!({"reason": "done"})).await;
    let told = |answer: &Value| -> Vec<String> {
        let changes = answer["changes"].as_array().unwrap();
        changes.iter().map(|entry| format!("{} {} {}", entry["table"], entry["op"], entry["by"])).collect()
    };
    let (_, closed) = service.get("/audit?table=tickets&actor=user:7").await;
    assert_eq!(told(&closed), [r#""tickets" "update" "user:7""#]);
    let both = "/audit?table=tickets&table=messages&op=insert&limit=1";
    let (_, first) = service.get(both).await;
    assert_eq!(told(&first), [r#""messages" "insert" "service_account:mailer""#]);
    let (_, second) = service.get(&format!("{both}&cursor={}", first["next"].as_str().unwrap())).await;
    assert_eq!((told(&second), &second["next"]), (vec![r#""tickets" "insert" "user:42""#.to_owned()], &Value::Null));
    for (query, says) in [
        ("tabel=tickets", "\"tabel\" is not a filter. Use table, schema, key"),
        ("table=", "table is empty"),
        ("actor=user:7&actor=user:8", "actor is given twice"),
        ("since=yesterday", "since is not an instant"),
        ("table=no_such", "public.no_such is not captured"),
        ("op=insert", "op alone would have to look at the whole trail"),
    ] {
        let (status, answer) = service.get(&format!("/audit?{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {answer}");
        assert!(answer["error"].as_str().unwrap().starts_with(says) || query == "table=no_such", "{query}: {answer}");
    }
}

#[tokio::test]
async fn what_fails_leaves_only_the_record_that_it_failed() {
    let service = Service::new().await;
    let id = service.opened().await;
    let path = format!("/tickets/{id}/close");
    let closing = json!({"reason": "done"});
    service.post(&path, Some("7"), &closing).await;
    let (status, answer) = service.post(&path, Some("8"), &closing).await;
    assert_eq!((status, &answer), (StatusCode::CONFLICT, &json!({"error": "the ticket is closed already"})));
    assert_eq!(
        service.actions(),
        ["ticket.opened ok 42", "ticket.closed ok 7", "message.queued ok mailer", "ticket.close_failed error 8"]
    );
}

#[tokio::test]
async fn nobody_writes_without_saying_who() {
    let service = Service::new().await;
    let (status, answer) = service.post("/tickets", None, &json!({"subject": "x", "email": "x"})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{answer}");
    let count = service.database.query_text("SELECT count(*) FROM tickets").unwrap();
    assert_eq!(count, [[Some("0".to_owned())]]);
}

#[tokio::test]
async fn an_address_is_found_nowhere_in_the_trail() {
    let service = Service::new().await;
    service.opened().await;
    let sql = "SELECT count(*) FROM threadline.audit_changes c WHERE c::text LIKE '%ann@example.com%'";
    assert_eq!(service.database.query_text(sql).unwrap(), [[Some("0".to_owned())]]);
}

/// Inside one transaction that is rolled back: nothing is committed, and the trail is asked all the same.
#[tokio::test]
async fn the_archive_job_is_attributed() {
    let service = Service::new().await;
    let mut tx = service.pool.begin().await.unwrap();
    let set_up = "SELECT threadline.set_context('{\"type\": \"system\", \"id\": \"test\"}');
        INSERT INTO tickets (subject, email, status) VALUES ('a', 'a', 'closed'), ('b', 'b', 'open')";
    sqlx::raw_sql(set_up).execute(&mut *tx).await.unwrap();

    let probe = tx.run(&StartProbe).await.unwrap();
    assert_eq!(archive_closed(&mut tx).await.unwrap(), 1);
    let probed = tx.run(&FinishProbe(&probe)).await.unwrap();

    probed.verify().unwrap();
    let [archived] = probed.changes() else { panic!("{probed:?}") };
    assert_eq!(archived.action.as_ref().unwrap().name, "tickets.archived");
    tx.rollback().await.unwrap();
}

/// The program itself: it starts, says where it listens, and answers there.
#[test]
fn the_program_serves() {
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_example-sqlx")).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    let mut printed = BufReader::new(program.stdout.take().unwrap());
    printed.read_line(&mut first).unwrap();
    let address = first.split("http://").nth(1).and_then(|rest| rest.split(". ").next()).expect("an address");
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /tickets/1/history HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    program.kill().unwrap();
    program.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
}
