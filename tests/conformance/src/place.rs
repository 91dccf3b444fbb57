//! Where a case runs: a fresh database with captured tables, and a way to it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use threadline_core::{ActorRef, AuditContext, Schema, kernel};
use threadline_testkit::{CAPTURED_TABLES, Database, Options, PgBouncer, Server, require_server};

use crate::{Adapter, PoolOptions, Route};

/// A fresh database and the way to it. Cheap to clone; the database goes with the last clone.
#[derive(Clone, Debug)]
pub struct Place {
    route: Route,
    url: String,
    database: Arc<Database>,
    /// A server and a pooler of the case's own, which may be crashed.
    own: Option<Arc<(Option<PgBouncer>, Server)>>,
}

impl Place {
    /// On the program's server.
    #[must_use]
    pub fn shared(route: Route, pooler: Option<&PgBouncer>) -> Self {
        Self::on(require_server(), route, pooler)
    }

    /// On a server of its own, which a case may crash.
    #[must_use]
    pub fn private(route: Route) -> Self {
        // Without it a crash may take the last commits along, and the case could not tell whose fault that is.
        let settings = vec![("synchronous_commit".into(), "on".into())];
        let server = Server::start(Options { settings, ..Options::default() }).unwrap();
        let pooler = route.start(&server).unwrap();
        let mut place = Self::on(&server, route, pooler.as_ref());
        place.own = Some(Arc::new((pooler, server)));
        place
    }

    fn on(server: &Server, route: Route, pooler: Option<&PgBouncer>) -> Self {
        static SETUP: OnceLock<String> = OnceLock::new();
        let setup = SETUP
            .get_or_init(|| format!("BEGIN; {} COMMIT; {CAPTURED_TABLES}", kernel::install_script(&Schema::default())));
        let database = server.database_from("conformance", setup).unwrap();
        let url = pooler.map_or_else(|| database.url().to_owned(), |pooler| pooler.url(database.name()));
        Self { route, url, database: Arc::new(database), own: None }
    }

    /// The way to the server.
    #[must_use]
    pub fn route(&self) -> Route {
        self.route
    }

    /// A pool of at most so many connections.
    pub async fn open<A: Adapter>(&self, connections: u32) -> A {
        self.open_within(connections, Duration::from_secs(60)).await
    }

    /// The same, and it waits no longer than this for a connection.
    pub async fn open_within<A: Adapter>(&self, connections: u32, acquire_timeout: Duration) -> A {
        let prepared_statements = self.route.prepared_statements();
        A::open(PoolOptions { url: self.url.clone(), connections, acquire_timeout, prepared_statements }).await
    }

    /// Crashes the case's own server and waits until it has recovered.
    pub fn crash(&self) {
        self.own.as_ref().expect("a private place").1.crash().unwrap();
    }

    /// Runs statements in a session of their own that no pool knows.
    pub fn execute(&self, sql: &str) {
        self.database.execute(sql).unwrap();
    }

    /// The first value of each row, over a session of its own.
    #[must_use]
    pub fn column(&self, sql: &str) -> Vec<String> {
        self.database.column(sql)
    }

    /// The one value that a statement returns; empty for NULL.
    #[must_use]
    pub fn value(&self, sql: &str) -> String {
        self.column(sql).pop().expect("a row")
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self, table: &str) -> usize {
        self.value(&format!("SELECT count(*) FROM {table}")).parse().unwrap()
    }

    /// The captured changes in order, each as "table op key actor action", with - for what is absent.
    #[must_use]
    pub fn trail(&self) -> Vec<String> {
        self.database.trail()
    }

    /// The recorded actions in order, each as "name status actor".
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        self.database.actions()
    }

    /// Asserts that nothing was written and nothing recorded.
    #[track_caller]
    pub fn assert_untouched(&self) {
        assert_eq!((self.count("posts"), self.trail(), self.actions()), (0, Vec::new(), Vec::new()));
    }

    /// Waits until no session of this database is inside a transaction.
    pub async fn until_quiet(&self) {
        self.database.until_quiet().await;
    }
}

/// A context of this user.
pub fn user(id: &str) -> AuditContext {
    AuditContext::new(ActorRef::user(id).unwrap())
}

/// Asserts that the pool's one connection has no transaction open and no actor.
pub async fn assert_clean<A: Adapter>(adapter: &A, when: &str) {
    let actor = adapter.unaudited("SELECT current_setting('threadline.actor_ref', true)").await.unwrap();
    assert_eq!(actor.unwrap_or_default(), "", "an actor was left behind {when}");
    // A transaction-local setting is kept from one statement to the next when a transaction is open.
    adapter.unaudited("SELECT set_config('conformance.probe', 'open', true)").await.unwrap();
    let probe = adapter.unaudited("SELECT current_setting('conformance.probe', true)").await.unwrap();
    assert_ne!(probe.as_deref(), Some("open"), "a transaction was left open {when}");
}
