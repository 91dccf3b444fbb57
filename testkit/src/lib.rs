//! A real PostgreSQL for tests, examples and benchmarks, with nothing to set up.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let database = threadline_testkit::require_server().database()?;
//! database.execute("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1)")?;
//! assert_eq!(database.query_text("SELECT id FROM orders")?, [[Some("1".into())]]);
//! // Connect your own driver to `database.url()`. The database goes when the value does.
//! # Ok(())
//! # }
//! ```
//!
//! # Where the server comes from
//!
//! 1. `DATABASE_URL`: a running server on which the role may create databases.
//! 2. The programs `initdb` and `postgres` of this machine: in the folder that `THREADLINE_PG_BIN` names, on `PATH`, in
//!    `pg_config --bindir`, or where Debian, Red Hat, Homebrew and Postgres.app install them. A private cluster is
//!    started from them in about a second, reachable through a Unix socket in its own directory, with durability
//!    switched off. This works as root too: the server then runs as `postgres` or `nobody`.
//! 3. With the feature `embedded`, a download of PostgreSQL.
//! 4. Otherwise [`Unavailable`], one screen that says what to do.
//!
//! # What is left behind
//!
//! Nothing of a private server, however the process ends: a small shell script waits for that, stops the server and
//! removes its directory. On a running server the databases of a process that was killed, and the templates of every
//! process, stay until the next process uses it; their names start with `threadline_test_`.
//!
//! # Blocking
//!
//! Every function but those of [`Proxy`] blocks, so that plain tests, async tests and destructors can call them. They
//! run their own runtime on a thread of their own and need none around them.
//!
//! # Systems
//!
//! Private servers and [`PgBouncer`] need Unix. Elsewhere, set `DATABASE_URL`.

mod account;
mod blocking;
mod captured;
mod cluster;
mod connection;
mod database;
#[cfg(feature = "embedded")]
mod download;
mod error;
mod external;
mod find;
mod memory;
mod pgbouncer;
mod pgbouncer_program;
mod polls;
mod programs;
mod proxy;
mod server;
mod standby;
mod trail;
mod version;

#[cfg(unix)]
mod examples;
#[cfg(unix)]
mod watchdog;
#[cfg(unix)]
mod workdir;

#[cfg(not(unix))]
mod elsewhere;
#[cfg(not(unix))]
use elsewhere::{watchdog, workdir};

pub use captured::CAPTURED_TABLES;
pub use database::Database;
pub use error::{Error, Unavailable};
pub use memory::{forget_peak_memory, peak_memory};
pub use pgbouncer::{PgBouncer, PgBouncerOptions, PoolMode, PreparedStatements};
pub use polls::{Sweep, dropped_after, until};
pub use proxy::{Hold, Proxy};
pub use server::{Options, Server, require_server};
pub use standby::Standby;
pub use trail::trail_script;
pub use version::Version;
