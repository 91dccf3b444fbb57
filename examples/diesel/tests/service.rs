//! The service as its callers see it, and what the trail says of them.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use deadpool_diesel::postgres::{Manager, Pool, Runtime};
use diesel::connection::SimpleConnection;
use diesel::{Connection, PgConnection};
use example_diesel::archive::archive_closed;
use example_diesel::{AppState, router};
use serde_json::{Value, json};
use threadline::diesel::{Error, Trail};
use threadline::{FinishProbe, StartProbe};
use threadline_testkit::{Database, require_server};
use tower::ServiceExt;

struct Service {
    router: Router,
    database: Database,
}

impl Service {
    async fn new() -> Self {
        let database = require_server().database().unwrap();
        let pool = Pool::builder(Manager::new(database.url(), Runtime::Tokio1)).max_size(2).build().unwrap();
        let state = AppState::open(pool).await.unwrap();
        Self { router: router(state), database }
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
    let url = service.database.url().to_owned();
    let in_one_transaction = move || {
        let mut conn = PgConnection::establish(&url).unwrap();
        conn.test_transaction::<_, Error, _>(|conn| {
            let set_up = "SELECT threadline.set_context('{\"type\": \"system\", \"id\": \"test\"}');
                INSERT INTO tickets (subject, email, status) VALUES ('a', 'a', 'closed'), ('b', 'b', 'open')";
            conn.batch_execute(set_up)?;

            let probe = conn.run(&StartProbe)?;
            assert_eq!(archive_closed(conn)?, 1);
            conn.run(&FinishProbe(&probe))
        })
    };
    let probed = tokio::task::spawn_blocking(in_one_transaction).await.unwrap();

    probed.verify().unwrap();
    let [archived] = probed.changes() else { panic!("{probed:?}") };
    assert_eq!(archived.action.as_ref().unwrap().name, "tickets.archived");
    let count = service.database.query_text("SELECT count(*) FROM tickets").unwrap();
    assert_eq!(count, [[Some("0".to_owned())]]);
}

/// The program itself: it starts, says where it listens, and answers there.
#[test]
fn the_program_serves() {
    let mut program =
        Command::new(env!("CARGO_BIN_EXE_example-diesel")).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
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
