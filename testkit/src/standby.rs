//! A server that follows another one and can only be read.

use std::time::{Duration, Instant};
use std::{fmt, thread};

use url::Url;

use crate::cluster::Cluster;
use crate::{Error, Server, connection};

/// How long a standby may be behind.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);

/// A hot standby of a private server, on which every one of its databases can be read. It stops when this value is dropped
/// or when the process ends in any way.
///
/// ```
/// use threadline_testkit::{Options, Server, Standby};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::start(Options::default())?;
/// # if !server.bin_dir().is_some_and(|folder| folder.join("pg_basebackup").exists()) { return Ok(()) }
/// let database = server.database()?;
/// let standby = Standby::start(&server)?;
/// database.execute("CREATE TABLE orders (id int); INSERT INTO orders VALUES (7)")?;
/// standby.catch_up()?;
/// assert_eq!(standby.query_text(database.name(), "SELECT id FROM orders")?, [[Some("7".into())]]);
/// # Ok(())
/// # }
/// ```
pub struct Standby {
    cluster: Cluster,
    primary: Url,
}

impl Standby {
    /// Copies a private server with `pg_basebackup`, and follows it.
    ///
    /// # Errors
    ///
    /// When the server was not started here, when its programs lack `pg_basebackup`, or when the copy does not start.
    pub fn start(server: &Server) -> Result<Self, Error> {
        let Some(cluster) = server.cluster() else {
            return Err(Error::new("only a private server can have a standby: start one with Server::start"));
        };
        if !cluster.bin_dir().join("pg_basebackup").exists() {
            return Err(Error::new(format!("{} does not hold the program pg_basebackup", cluster.bin_dir().display())));
        }
        Ok(Self { cluster: cluster.standby()?, primary: server.maintenance().clone() })
    }

    /// The URL of a database of the server, on the standby.
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}", self.cluster.url().trim_end_matches("postgres"))
    }

    /// Waits until everything is here that the server has written so far.
    ///
    /// # Errors
    ///
    /// When one of the two cannot be reached, or when it takes a minute.
    pub fn catch_up(&self) -> Result<(), Error> {
        let primary = self.primary.as_str().to_owned();
        let written = connection::query_text(primary, "SELECT pg_current_wal_insert_lsn()::text".to_owned())?;
        let Some(position) = written.into_iter().flatten().next().flatten() else {
            return Err(Error::new("the server does not tell how far it has written"));
        };
        let sql = format!("SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn");
        let deadline = Instant::now() + CATCH_UP_LIMIT;
        while self.query_text("postgres", &sql)? != [[Some("t".to_owned())]] {
            if Instant::now() > deadline {
                return Err(Error::new(format!("the standby did not reach {position} in time")));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Runs statements in a new session and returns their rows, each value in PostgreSQL's text form.
    ///
    /// # Errors
    ///
    /// When the standby refuses one; [`Error::sqlstate`] says why.
    pub fn query_text(&self, database: &str, sql: &str) -> Result<Vec<Vec<Option<String>>>, Error> {
        connection::query_text(self.url(database), sql.to_owned())
    }
}

impl fmt::Debug for Standby {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Standby").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}
