//! A private PgBouncer in front of a server.

use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use sqlx::postgres::PgConnectOptions;
use url::Url;

use crate::cluster::{PORT_ATTEMPTS, free_port, is_port_taken, socket_host};
use crate::watchdog::Watchdog;
use crate::{Error, Server, pgbouncer_program as program, workdir};

/// The number in the name of its socket.
const SOCKET_PORT: u16 = 6432;

/// When PgBouncer gives a server connection back to its pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PoolMode {
    /// After each transaction: what services behind a pooler mostly run with.
    #[default]
    Transaction,
    /// When the client disconnects.
    Session,
    /// After each statement.
    Statement,
}

impl PoolMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Transaction => "transaction",
            Self::Session => "session",
            Self::Statement => "statement",
        }
    }
}

/// What PgBouncer does with prepared statements that have names, in transaction mode.
///
/// Before 1.21 it does nothing: a name prepared on one server connection is unknown on the next, or somebody else's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PreparedStatements {
    /// Whatever the program does by itself.
    #[default]
    AsInstalled,
    /// As before 1.21, also with a newer program.
    Unsupported,
    /// Keeps them apart. This needs a program of 1.21 or newer: the one that `THREADLINE_PGBOUNCER` names, else the
    /// installed one, else what `cargo xtask pgbouncer` has unpacked.
    Supported,
}

/// How to start PgBouncer.
#[derive(Clone, Debug)]
pub struct PgBouncerOptions {
    /// Server connections for each pair of database and role. The default, 2, makes clients share them at once.
    pub pool_size: u32,
    /// When connections are shared.
    pub mode: PoolMode,
    /// The program; found on `PATH` and in the usual folders when absent.
    pub binary: Option<PathBuf>,
    /// Whether clients may prepare statements by name.
    pub prepared_statements: PreparedStatements,
    /// Roles that may connect besides the server's own, without a password.
    pub roles: Vec<String>,
    /// Lines of the section `[pgbouncer]`, which override the test kit's own.
    pub settings: Vec<(String, String)>,
    /// Listen on 127.0.0.1 instead of a Unix socket.
    pub tcp: bool,
}

impl Default for PgBouncerOptions {
    fn default() -> Self {
        Self {
            pool_size: 2,
            mode: PoolMode::Transaction,
            binary: None,
            prepared_statements: PreparedStatements::AsInstalled,
            roles: Vec::new(),
            settings: Vec::new(),
            tcp: false,
        }
    }
}

/// A running PgBouncer. It stops when this value is dropped or when the process ends in any way.
///
/// ```
/// use threadline_testkit::{PgBouncer, PgBouncerOptions, Server};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !threadline_testkit::PgBouncer::is_installed() { return Ok(()) }
/// let server = Server::shared()?;
/// let database = server.database()?;
/// let pooler = PgBouncer::start(server, PgBouncerOptions::default())?;
/// let url = pooler.url(database.name());
/// assert!(url.starts_with("postgres://"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PgBouncer {
    // Held for its drop.
    _watchdog: Watchdog,
    url: Url,
    version: String,
}

impl PgBouncer {
    /// Whether a program is there to start. Its absence fails tests; this is for documentation that runs anywhere.
    pub fn is_installed() -> bool {
        program::installed().is_some()
    }

    /// Starts PgBouncer in front of every database of `server`.
    ///
    /// The server's own role may also connect to the database `pgbouncer`, the admin console.
    ///
    /// # Errors
    ///
    /// When PgBouncer is not installed (the message says how to install it) or does not start (the message holds the
    /// end of its log).
    pub fn start(server: &Server, mut options: PgBouncerOptions) -> Result<Self, Error> {
        let program = match options.binary.take() {
            Some(program) => program,
            None => program::find(options.prepared_statements)?,
        };
        let version = program::version(&program)?;
        let supported = match options.prepared_statements {
            PreparedStatements::AsInstalled => None,
            // An older program does not know the setting.
            PreparedStatements::Unsupported => program::is_recent(&version).then_some("0"),
            PreparedStatements::Supported => Some("200"),
        };
        if let Some(most) = supported {
            options.settings.insert(0, ("max_prepared_statements".into(), most.into()));
        }
        let mut attempt = 1;
        loop {
            let port = if options.tcp { free_port()? } else { SOCKET_PORT };
            match launch(server, &program, &options, port) {
                Ok((watchdog, url)) => {
                    return Ok(Self { _watchdog: watchdog, url, version });
                }
                Err(error) if options.tcp && attempt < PORT_ATTEMPTS && is_port_taken(&error) => {
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The URL of a database of the server, through the pooler.
    pub fn url(&self, database: &str) -> String {
        let mut url = self.url.clone();
        url.set_path(database);
        url.into()
    }

    /// The program's version, for example `1.18.0`.
    pub fn version(&self) -> &str {
        &self.version
    }
}

fn launch(server: &Server, program: &Path, options: &PgBouncerOptions, port: u16) -> Result<(Watchdog, Url), Error> {
    let (dir, account) = workdir::create("threadline-pgb-", None)?;
    let program = &program::within_reach(program, dir.path(), account.as_ref())?;
    let target = Target::of(server)?;
    write(dir.path(), "users.txt", &target.users(&options.roles))?;
    let ini = dir.path().join("pgbouncer.ini");
    write(dir.path(), "pgbouncer.ini", &configuration(dir.path(), &target, options, port))?;
    let host = if options.tcp { "127.0.0.1".to_owned() } else { socket_host(dir.path()) };
    let url = Url::parse(&format!("postgres://{host}:{port}/"))
        .and_then(|mut url| {
            url.set_username(&target.role).map_err(|()| url::ParseError::EmptyHost)?;
            Ok(url)
        })
        .map_err(|error| Error::with("PgBouncer's address is not a URL", error))?;

    let command: [OsString; 2] = [program.into(), ini.into()];
    // KILL: the polite signals wait for clients in some versions, and there is nothing to save.
    let watchdog = Watchdog::start(dir, account.as_ref(), "KILL", None, &command)?;
    let socket = watchdog.dir().join(format!(".s.PGSQL.{port}"));
    watchdog.until_ready(&format!("PgBouncer ({})", program.display()), || {
        if options.tcp { TcpStream::connect(("127.0.0.1", port)).is_ok() } else { workdir::socket_accepts(&socket) }
    })?;
    Ok((watchdog, url))
}

fn write(dir: &Path, name: &str, text: &str) -> Result<(), Error> {
    fs::write(dir.join(name), text).map_err(|error| Error::with(format!("cannot write PgBouncer's {name}"), error))
}

/// The server behind the pooler, as PgBouncer needs to know it.
struct Target {
    host: String,
    port: u16,
    role: String,
    password: String,
}

impl Target {
    fn of(server: &Server) -> Result<Self, Error> {
        let url = server.maintenance();
        let options: PgConnectOptions =
            url.as_str().parse().map_err(|error| Error::with("the server's URL is not valid", error))?;
        let host =
            options.get_socket().map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        Ok(Self {
            host,
            port: options.get_port(),
            role: options.get_username().to_owned(),
            password: percent_decoded(url.password().unwrap_or_default()),
        })
    }

    /// The accounts file. Clients need no password; PgBouncer logs in to the server with the one given here.
    fn users(&self, roles: &[String]) -> String {
        let quote = |text: &str| text.replace('"', "\"\"");
        let mut users = format!("\"{}\" \"{}\"\n", quote(&self.role), quote(&self.password));
        for role in roles {
            users.push_str(&format!("\"{}\" \"\"\n", quote(role)));
        }
        users
    }
}

fn configuration(dir: &Path, target: &Target, options: &PgBouncerOptions, port: u16) -> String {
    let dir = dir.display();
    let mode = options.mode.as_str();
    let Target { host, role, port: target_port, .. } = target;
    let (address, sockets) =
        if options.tcp { ("127.0.0.1".to_owned(), String::new()) } else { (String::new(), dir.to_string()) };
    let mut ini = format!(
        "[databases]\n\
         * = host='{}' port={target_port}\n\
         [pgbouncer]\n\
         listen_addr = {address}\n\
         listen_port = {port}\n\
         unix_socket_dir = {sockets}\n\
         auth_type = trust\n\
         auth_file = {dir}/users.txt\n\
         admin_users = {role}\n\
         pool_mode = {mode}\n\
         default_pool_size = {}\n\
         max_client_conn = 200\n\
         ignore_startup_parameters = extra_float_digits,options\n",
        host.replace('\'', "''"),
        options.pool_size,
    );
    for (name, value) in &options.settings {
        ini.push_str(&format!("{name} = {value}\n"));
    }
    ini
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok())
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_decoded_and_quoted() {
        let target = Target { host: "h".into(), port: 1, role: "a".into(), password: percent_decoded("p%22%40%zz") };
        assert_eq!(target.users(&["b".into()]), "\"a\" \"p\"\"@%zz\"\n\"b\" \"\"\n");
    }
}
