//! The service over HTTP, and what the trail holds afterwards.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};
use threadline_testkit::{Database, require_server};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tower::ServiceExt;

struct Blog {
    database: Database,
    service: Router,
}

impl Blog {
    async fn open() -> Self {
        let database = require_server().database().unwrap();
        let connection = sea_orm::Database::connect(database.url()).await.unwrap();
        Self { service: example_seaorm::service(connection).await.unwrap(), database }
    }

    async fn call(&self, request: Request<Body>) -> (StatusCode, Value) {
        let response = self.service.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| String::from_utf8_lossy(&body).into()))
    }

    async fn post(&self, path: &str, user: Option<&str>, body: &Value) -> (StatusCode, Value) {
        let mut request =
            Request::post(path).header("content-type", "application/json").header("x-request-id", "req-1");
        if let Some(user) = user {
            request = request.header("x-user", user);
        }
        self.call(request.body(body.to_string().into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn drafted(&self) -> Value {
        let draft = json!({"title": "Ship it", "author_email": "ada@example.org", "tags": ["rust", "audit"]});
        let (status, written) = self.post("/posts", Some("42"), &draft).await;
        assert_eq!(status, StatusCode::CREATED, "{written}");
        written
    }
}

/// An instant as a query parameter.
fn now() -> String {
    OffsetDateTime::now_utc().format(&Rfc3339).unwrap()
}

#[tokio::test]
async fn every_write_is_attributed_with_its_action() {
    let blog = Blog::open().await;
    let written = blog.drafted().await;
    let (status, published) = blog.post("/posts/1/publish", Some("7"), &json!({"reason": "editor approved"})).await;
    assert_eq!((status, &published["published"]), (StatusCode::OK, &json!(true)));
    assert_ne!(written["audit_transaction"], published["audit_transaction"]);

    let trail = "SELECT concat_ws(' ', c.table_name, c.op, t.actor_ref ->> 'id', t.request_id, a.name, a.reason)
        FROM threadline.audit_changes c JOIN threadline.audit_transactions t ON t.id = c.transaction_id
        JOIN threadline.audit_actions a ON a.id = t.action_id ORDER BY c.captured_at, c.id";
    let trail = blog.database.query_text(trail).unwrap().concat();
    let expected = [
        "posts insert 42 req-1 post.drafted",
        "tags insert 42 req-1 post.drafted",
        "tags insert 42 req-1 post.drafted",
        "posts update 7 req-1 post.published editor approved",
    ];
    assert_eq!(trail, expected.map(|line| Some(line.to_owned())));
}

#[tokio::test]
async fn the_history_tells_who_and_why_and_nothing_that_is_masked() {
    let blog = Blog::open().await;
    blog.drafted().await;
    blog.post("/posts/1/publish", Some("7"), &json!({"reason": "editor approved"})).await;
    let (_, history) = blog.get("/posts/1/history").await;
    let newest = &history["entries"][0];
    assert_eq!(newest["change"]["changed_fields"], json!(["published"]));
    assert_eq!(newest["action"]["reason"], "editor approved");
    assert_eq!(history["entries"].as_array().unwrap().len(), 2);
    assert!(!history.to_string().contains("ada@example.org"));
}

#[tokio::test]
async fn a_post_is_read_as_it_was() {
    let blog = Blog::open().await;
    let before = now();
    blog.drafted().await;
    let between = now();
    blog.post("/posts/1/publish", Some("7"), &json!({"reason": "editor approved"})).await;
    let (_, then) = blog.get(&format!("/posts/1/as-of?at={between}")).await;
    assert_eq!(then, json!({"id": 1, "title": "Ship it", "published": false}));
    let (_, today) = blog.get(&format!("/posts/1/as-of?at={}", now())).await;
    assert_eq!(today["published"], true);
    let (status, _) = blog.get(&format!("/posts/1/as-of?at={before}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = blog.get("/posts/1/as-of?at=yesterday").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_fails_leaves_nothing() {
    let blog = Blog::open().await;
    let (status, _) = blog.post("/posts", None, &json!({"title": "Anonymous"})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let (status, _) = blog.post("/posts/8/publish", Some("7"), &json!({"reason": "no such post"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let counts = "SELECT (SELECT count(*) FROM posts), (SELECT count(*) FROM threadline.audit_actions)";
    assert_eq!(blog.database.query_text(counts).unwrap(), [["0", "0"].map(|count| Some(count.to_owned()))]);
}
