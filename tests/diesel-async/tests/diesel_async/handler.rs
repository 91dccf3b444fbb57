//! A handler as a service with diesel-async would write it. It was written before the adapter; how it reads is the
//! specification, and changing it needs a reason.

use diesel::prelude::*;
use diesel_async::pooled_connection::deadpool;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use threadline_diesel::asynchronous::prelude::*;

use crate::support::Target;

diesel::table! {
    articles (id) {
        id -> Int8,
        title -> Text,
        published -> Bool,
    }
}

diesel::table! {
    invoices (id) {
        id -> Int8,
        article_id -> Int8,
        cents -> Int8,
    }
}

#[derive(Debug, PartialEq, Queryable, Selectable)]
#[diesel(table_name = articles, check_for_backend(diesel::pg::Pg))]
struct Article {
    id: i64,
    title: String,
    published: bool,
}

/// What the framework hands to every handler.
#[derive(Clone)]
struct App {
    pool: deadpool::Pool<AsyncPgConnection>,
}

/// The service's own error, with what each library says in it.
#[derive(Debug)]
enum AppError {
    BadRequest,
    NotFound,
    Pool,
    Database,
    Audit(threadline_diesel::Error),
}

impl From<std::num::ParseIntError> for AppError {
    fn from(_: std::num::ParseIntError) -> Self {
        Self::BadRequest
    }
}

impl From<deadpool::PoolError> for AppError {
    fn from(_: deadpool::PoolError) -> Self {
        Self::Pool
    }
}

impl From<diesel::result::Error> for AppError {
    fn from(error: diesel::result::Error) -> Self {
        match error {
            diesel::result::Error::NotFound => Self::NotFound,
            _ => Self::Database,
        }
    }
}

impl From<threadline_diesel::Error> for AppError {
    fn from(error: threadline_diesel::Error) -> Self {
        Self::Audit(error)
    }
}

impl App {
    /// `POST /articles/{id}/publish`: publishes, and has billing write an invoice under its own name.
    async fn publish(&self, context: &AuditContext, id: &str, cents: &str) -> Result<Outcome<Article>, AppError> {
        let id: i64 = id.parse()?;
        let billing = AuditContext::new(ActorRef::service_account("billing").map_err(threadline_diesel::Error::from)?);

        let mut conn = self.pool.get().await?;
        conn.audited(context, async |conn| {
            conn.record_action(&Action::new("article.published").reason("editor approved")).await?;
            let article = diesel::update(articles::table.find(id))
                .set(articles::published.eq(true))
                .returning(Article::as_returning())
                .get_result(conn)
                .await?;
            conn.nested(Some(&billing), async |conn| {
                let cents: i64 = cents.parse()?;
                conn.record_action(&Action::new("invoice.written")).await?;
                write_invoice(conn, id, cents).await?;
                Ok::<_, AppError>(())
            })
            .await?;
            Ok(article)
        })
        .await
    }
}

/// Code that knows nothing of auditing, as there is plenty of in every service.
async fn write_invoice(conn: &mut AsyncPgConnection, article_id: i64, cents: i64) -> QueryResult<()> {
    diesel::insert_into(invoices::table)
        .values((invoices::article_id.eq(article_id), invoices::cents.eq(cents)))
        .execute(conn)
        .await?;
    Ok(())
}

const TABLES: &str = "
    CREATE TABLE articles (id bigint PRIMARY KEY, title text NOT NULL, published bool NOT NULL DEFAULT false);
    CREATE TABLE invoices (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, article_id bigint, cents bigint);
    SELECT threadline.enable_capture('articles', '{}'), threadline.enable_capture('invoices', '{}');
    INSERT INTO articles VALUES (7, 'Ship it')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handler_publishes_and_each_part_has_its_actor_and_action() {
    let target = Target::new();
    target.set_up(TABLES);
    let app = App { pool: target.pool(2) };
    let editor = AuditContext::new(ActorRef::user("42").unwrap()).correlation_id("req-7f3");

    // Frameworks run handlers in tasks of their own.
    let outcome = tokio::spawn({
        let (app, editor) = (app.clone(), editor.clone());
        async move { app.publish(&editor, "7", "250").await }
    });
    let outcome = outcome.await.unwrap().unwrap();
    assert_eq!(outcome.value, Article { id: 7, title: "Ship it".to_owned(), published: true });
    let recorded = "SELECT id::text FROM threadline.audit_transactions WHERE correlation_id = 'req-7f3'";
    assert_eq!(target.value(recorded), outcome.transaction_id.map(|id| id.to_string()));
    assert_eq!(
        target.trail(),
        [
            "articles insert 7 - -",
            "articles update 7 42 article.published",
            "invoices insert 1 billing invoice.written"
        ],
    );

    let mut conn = app.pool.get().await.unwrap();
    let page = conn.timeline(&Timeline::new().table("articles").actor(editor.actor().unwrap())).await.unwrap();
    assert_eq!(page.entries.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_anywhere_in_the_handler_leaves_nothing() {
    let target = Target::new();
    target.set_up(TABLES);
    let app = App { pool: target.pool(1) };
    let editor = AuditContext::new(ActorRef::user("42").unwrap());

    assert!(matches!(app.publish(&editor, "seven", "250").await, Err(AppError::BadRequest)));
    assert!(matches!(app.publish(&editor, "7", "a lot").await, Err(AppError::BadRequest)));
    assert!(matches!(app.publish(&editor, "8", "250").await, Err(AppError::NotFound)));
    let refused = app.publish(&AuditContext::without_actor(), "7", "250").await;
    assert!(matches!(refused, Err(AppError::Audit(error)) if error.is_missing_actor()));
    assert_eq!(target.trail(), ["articles insert 7 - -"]);
    assert_eq!(target.actions(), [""; 0]);
}
