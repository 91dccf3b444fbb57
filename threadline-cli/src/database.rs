//! The connection that a command works on.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use threadline_core::{Operation, Schema};
use threadline_sqlx::{AuditedPool, Trail};

use crate::args::Global;
use crate::failure::Failure;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) audited: AuditedPool,
}

impl Database {
    pub(crate) async fn connect(global: &Global) -> Result<Self, Failure> {
        let options = options(global)?;
        // A pool of sqlx tries again for as long as it may and then tells that time is up, not why.
        let probe = tokio::time::timeout(PATIENCE, options.connect()).await;
        let connection = match probe {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => return Err(unreachable(&options, &error.to_string())),
            Err(_) => {
                let problem = format!("no answer within {} s", PATIENCE.as_secs());
                return Err(unreachable(&options, &problem));
            }
        };
        // It said hello; whether it hears our goodbye does not matter.
        let _ = connection.close().await;
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE).connect_lazy_with(options);
        Ok(Self { audited: AuditedPool::new(pool).with_schema(global.schema.clone()) })
    }

    /// Where the kernel is, or shall be.
    pub(crate) fn schema(&self) -> &Schema {
        self.audited.schema()
    }

    pub(crate) async fn close(self) {
        self.audited.unaudited().close().await;
    }

    /// Runs something that changes nothing, in a read-only transaction.
    pub(crate) async fn read<O: Operation + Sync>(&self, operation: &O) -> Result<O::Output, Failure> {
        Ok(self.audited.run(operation).await?)
    }

    /// Runs something that changes what is captured.
    pub(crate) async fn apply<O: Operation + Sync>(&self, operation: &O) -> Result<O::Output, Failure> {
        Ok(self.audited.apply(operation).await?)
    }
}

fn options(global: &Global) -> Result<PgConnectOptions, Failure> {
    let url = global.database_url.as_deref().filter(|url| !url.is_empty()).ok_or_else(|| {
        Failure::refused("no_database", "no database is named")
            .remedy("Give --database-url or set DATABASE_URL to postgres://user@host/database")
    })?;
    // The parser's message may quote the URL.
    let options = PgConnectOptions::from_str(url)
        .ok()
        .filter(|_| url.starts_with("postgres://") || url.starts_with("postgresql://"))
        .ok_or_else(|| {
            Failure::refused("no_database", "the database's URL cannot be read")
                .remedy("Write postgres://user:password@host:port/database, with % escapes in the password")
        })?;
    let named = options.get_application_name().is_some();
    let options = options.disable_statement_logging();
    Ok(if named { options } else { options.application_name("threadline") })
}

fn unreachable(options: &PgConnectOptions, problem: &str) -> Failure {
    let server = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    let user = options.get_username();
    let database = options.get_database().unwrap_or(user);
    Failure::unreachable(
        "unreachable",
        format!("cannot connect to database {database} at {server} as {user}: {problem}"),
    )
    .remedy("Check --database-url or DATABASE_URL, and that the server runs and lets you in")
}
