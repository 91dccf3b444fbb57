//! A server on which tests create databases.

use std::env;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use url::Url;

use crate::cluster::Cluster;
use crate::database::Templates;
#[cfg(unix)]
use crate::examples::Siblings;
use crate::{Database, Error, Unavailable, Version, connection, external, find, programs};

/// How long a server may take to recover.
const RESTART_LIMIT: Duration = Duration::from_secs(60);

/// How to start a private server. The default is what [`Server::shared`] uses.
///
/// ```
/// use threadline_testkit::{Options, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::start(Options {
///     settings: vec![("wal_level".into(), "logical".into())],
///     ..Options::default()
/// })?;
/// let rows = server.database()?.query_text("SHOW wal_level")?;
/// assert_eq!(rows, [[Some("logical".into())]]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The folder of `initdb` and `postgres`; found as the [crate] says when absent.
    pub bin_dir: Option<PathBuf>,
    /// Settings of `postgresql.conf`, which override the test kit's own.
    pub settings: Vec<(String, String)>,
    /// Listen on 127.0.0.1 and let [`Server::url`] say so, instead of a Unix socket.
    pub tcp: bool,
    /// Where the server's directory is created. When absent: in `TMPDIR` if that is set, else in memory (`/dev/shm`) if
    /// there are 2 GiB of it, else in the system's temporary folder. Name a folder on disk to measure a disk.
    pub parent_dir: Option<PathBuf>,
}

/// A PostgreSQL server on which databases may be created.
///
/// A private server stops, and its files go, when this value is dropped or when the process ends in any way, SIGKILL
/// included.
pub struct Server {
    maintenance: Url,
    version: Version,
    run: String,
    next_name: AtomicU64,
    templates: Templates,
    cluster: Option<Cluster>,
}

impl Server {
    /// The process's server: the one that `DATABASE_URL` names, else a private one, started on first use. The examples of
    /// a crate's documentation share one, although each is a process.
    ///
    /// # Errors
    ///
    /// [`Unavailable`] says in one screen what to install or set. The answer is remembered: a process asks once.
    pub fn shared() -> Result<&'static Self, Unavailable> {
        static SHARED: OnceLock<Result<Server, Unavailable>> = OnceLock::new();
        SHARED.get_or_init(find_or_start).as_ref().map_err(Clone::clone)
    }

    /// Starts a private server, whatever `DATABASE_URL` says.
    ///
    /// # Errors
    ///
    /// When there are no programs to start, or the server does not start; then the message holds the end of its log.
    pub fn start(mut options: Options) -> Result<Self, Error> {
        let bin_dir = match options.bin_dir.take() {
            Some(folder) if find::is_server_folder(&folder) => folder,
            Some(folder) => {
                return Err(Error::new(format!("{} does not hold the programs initdb and postgres", folder.display())));
            }
            None => programs::find_or_download().map_err(|error| Error::new(error.to_string()))?,
        };
        let cluster = Cluster::start(bin_dir, &options, None)?;
        let maintenance = parse(&cluster.url())?;
        let version = version(&maintenance)?;
        // Another name than on a running server: a run that is pointed at this one must not clear up here.
        let run = new_run("threadline_private_");
        Ok(Self::new(maintenance, version, run, Some(cluster)))
    }

    /// Uses a server that is already running. The URL's role must be allowed to create databases.
    ///
    /// Databases and templates that an earlier process left behind are removed; those of a process that is still
    /// connected are not.
    ///
    /// # Errors
    ///
    /// When the server cannot be reached or the role may not create databases.
    pub fn at(url: &str) -> Result<Self, Error> {
        let maintenance = parse(url)?;
        let run = new_run(external::PREFIX);
        external::register(&maintenance, &run)?;
        let version = version(&maintenance)?;
        Ok(Self::new(maintenance, version, run, None))
    }

    fn new(maintenance: Url, version: Version, run: String, cluster: Option<Cluster>) -> Self {
        Self { maintenance, version, run, next_name: AtomicU64::new(1), templates: Templates::default(), cluster }
    }

    /// The connection URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.maintenance.clone();
        url.set_path(database);
        url.into()
    }

    /// The server's version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The folder of the programs that were started; none for a server that was already running.
    pub fn bin_dir(&self) -> Option<&Path> {
        self.cluster.as_ref().map(Cluster::bin_dir)
    }

    /// The folder of the Unix socket; none for a server that was already running. The cluster's own files are in its
    /// subfolder `data`.
    pub fn socket_dir(&self) -> Option<&Path> {
        self.cluster.as_ref().map(Cluster::dir)
    }

    /// Makes a private server restart as after a crash: it ends every session without a word, recovers, and accepts
    /// connections again when this returns. With the test kit's `synchronous_commit = off` the last commits may be lost.
    ///
    /// # Errors
    ///
    /// When the server was not started here, or does not come back.
    pub fn crash(&self) -> Result<(), Error> {
        if !self.is_private() {
            return Err(Error::new("only a private server may be crashed"));
        }
        let writer = || {
            let sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'";
            let rows = connection::query_text(self.maintenance.as_str().to_owned(), sql.to_owned())?;
            Ok::<_, Error>(rows.into_iter().flatten().next().flatten())
        };
        let Some(before) = writer()? else {
            return Err(Error::new("the server has no process to end"));
        };
        // PostgreSQL restarts everything when one of its processes is killed.
        let killed = Command::new("kill").args(["-KILL", &before]).status();
        if !killed.map_err(|error| Error::with("cannot run `kill`", error))?.success() {
            return Err(Error::new(format!("cannot kill process {before}")));
        }
        let deadline = Instant::now() + RESTART_LIMIT;
        loop {
            match writer() {
                Ok(Some(now)) if now != before => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                _ if Instant::now() > deadline => return Err(Error::new("the server did not restart")),
                _ => thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// An empty database of its own for one test.
    ///
    /// # Errors
    ///
    /// When the server refuses to create it.
    pub fn database(&self) -> Result<Database, Error> {
        Database::create(self, None)
    }

    /// A copy of a template database for one test: about as fast as an empty one, whatever its set-up costs.
    ///
    /// The first call with a key creates the template and runs `setup_sql` in it (several statements, one implicit
    /// transaction). Roles that `setup_sql` creates belong to the server, not to the template: create them only if they
    /// do not exist.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let server = threadline_testkit::Server::shared()?;
    /// let setup = "CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (7)";
    /// let one = server.database_from("orders", setup)?;
    /// let other = server.database_from("orders", setup)?;
    /// one.execute("DELETE FROM orders")?;
    /// assert_eq!(other.query_text("SELECT id FROM orders")?, [[Some("7".into())]]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// When `setup_sql` fails, when the key was used with other SQL before, or when the server refuses the copy.
    pub fn database_from(&self, template_key: &str, setup_sql: &str) -> Result<Database, Error> {
        let template = self.templates.get_or_create(self, template_key, setup_sql)?;
        Database::create(self, Some(&template))
    }

    /// A name for a database that no other process uses.
    pub(crate) fn unused_name(&self, kind: &str) -> String {
        let number = self.next_name.fetch_add(1, Ordering::Relaxed);
        format!("{}_{kind}{number}", self.run)
    }

    pub(crate) fn maintenance(&self) -> &Url {
        &self.maintenance
    }

    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref()
    }

    pub(crate) fn is_private(&self) -> bool {
        self.cluster.is_some()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A private server takes everything with it.
        if !self.is_private() {
            self.templates.remove_all(&self.maintenance);
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("url", &without_password(&self.maintenance))
            .field("version", &self.version)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// The shared server for a test that cannot do without one.
///
/// # Panics
///
/// With the whole screen of [`Unavailable`] when there is no server: a test that cannot run fails, it is never skipped.
#[track_caller]
#[expect(clippy::panic, reason = "a test without its server must fail loudly")]
pub fn require_server() -> &'static Server {
    match Server::shared() {
        Ok(server) => server,
        Err(unavailable) => panic!("\n\n{unavailable}"),
    }
}

fn find_or_start() -> Result<Server, Unavailable> {
    if let Some(url) = env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        let shown = Url::parse(&url).map_or_else(|_| "not a URL".to_owned(), |url| without_password(&url));
        return Server::at(&url)
            .map_err(|error| Unavailable::new(format!("DATABASE_URL is set ({shown}), but:\n{}", error.chain())));
    }
    #[cfg(unix)]
    if let Some(siblings) = Siblings::of_this_process() {
        let bin_dir = programs::find_or_download()?;
        return siblings
            .server(|program| Cluster::start(bin_dir, &Options::default(), Some(program)))
            .and_then(|url| Server::at(&url))
            .map_err(|error| Unavailable::new(error.chain()));
    }
    let options = Options { bin_dir: Some(programs::find_or_download()?), ..Options::default() };
    Server::start(options).map_err(|error| Unavailable::new(error.chain()))
}

fn parse(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| Error::with("the server's URL is not valid", error))
}

fn version(maintenance: &Url) -> Result<Version, Error> {
    let rows = connection::query_text(maintenance.as_str().to_owned(), "SHOW server_version_num".to_owned())?;
    rows.first()
        .and_then(|row| row.first())
        .and_then(Option::as_deref)
        .and_then(|number| number.parse().ok())
        .map(Version::from_number)
        .ok_or_else(|| Error::new("the server does not tell its version"))
}

/// Distinct for each server value of each process, so that processes can share a running server.
fn new_run(prefix: &str) -> String {
    // The standard library's own source of random keys.
    let random = RandomState::new().hash_one(process::id());
    format!("{prefix}{}_{:08x}", process::id(), random >> 32)
}

pub(crate) fn without_password(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        // Fails only for a URL without a host, which has no password either.
        let _ = url.set_password(Some("***"));
    }
    url.set_query(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_url_has_no_password() {
        let url = Url::parse("postgres://me:secret@host/db?password=secret").unwrap();
        assert!(!without_password(&url).contains("secret"));
    }

    #[test]
    fn runs_of_one_process_have_distinct_names() {
        assert_ne!(new_run("a_"), new_run("a_"));
    }
}
