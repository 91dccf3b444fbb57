//! A connection in the middle: counts round trips, holds answers back, and can break just when COMMIT is on its way.

use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

use crate::Error;

#[derive(Default)]
struct Shared {
    round_trips: AtomicUsize,
    break_at_commit: AtomicBool,
    /// Read for each answer that is passed on.
    held: Arc<RwLock<()>>,
}

/// Passes PostgreSQL's protocol on, without TLS, and looks at it while doing so.
///
/// It works in the tokio runtime that [`before`](Self::before) is called in, and ends with it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let database = threadline_testkit::require_server().database()?;
/// let proxy = threadline_testkit::Proxy::before(database.url()).await?;
/// let pool = sqlx::PgPool::connect(proxy.url()).await?;
/// sqlx::raw_sql("SELECT 1").execute(&pool).await?;
/// assert!(proxy.round_trips() > 0);
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens on a port of its own and passes on to the server at `url`.
    ///
    /// # Errors
    ///
    /// When `url` names no server or database, or no port can be had.
    pub async fn before(url: &str) -> Result<Self, Error> {
        let doing = "a proxy could not be started";
        let options: PgConnectOptions = url.parse().map_err(|error: sqlx::Error| Error::with(doing, error))?;
        let database = options.get_database().ok_or_else(|| Error::new("a proxy needs a URL with a database"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| Error::with(doing, error))?;
        let port = listener.local_addr().map_err(|error| Error::with(doing, error))?.port();
        let proxy = Self {
            url: format!("postgres://{}@127.0.0.1:{port}/{database}?sslmode=disable", options.get_username()),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&proxy.shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, options.clone(), Arc::clone(&shared)));
            }
        });
        Ok(proxy)
    }

    /// The URL that leads through the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The round trips since the last call. The server ends each with one message.
    pub fn round_trips(&self) -> usize {
        self.shared.round_trips.swap(0, Ordering::SeqCst)
    }

    /// No answer arrives until the value is dropped, so that what waits for one can be cancelled for certain.
    pub async fn hold(&self) -> Hold {
        Hold { _guard: Arc::clone(&self.shared.held).write_owned().await }
    }

    /// Polls `future` once, with every answer held back, and drops it.
    ///
    /// # Panics
    ///
    /// When it is through without an answer.
    pub async fn cancel<F: Future>(&self, future: F) {
        let _held = self.hold().await;
        let is_pending = pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_pending();
        assert!(is_pending, "it was through although no answer arrived");
    }

    /// From now on a COMMIT reaches the server and its answer does not come back.
    pub fn break_at_commit(&self) {
        self.shared.break_at_commit.store(true, Ordering::SeqCst);
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Holds answers back while it lives; from [`Proxy::hold`].
#[derive(Debug)]
#[must_use = "answers arrive again when it is dropped"]
pub struct Hold {
    _guard: OwnedRwLockWriteGuard<()>,
}

/// A server that cannot be reached is a connection that ends at once, which the client reports.
async fn connect(client: TcpStream, options: PgConnectOptions, shared: Arc<Shared>) {
    let port = options.get_port();
    // Without it, it is only slower.
    let _ = client.set_nodelay(true);
    // A host that is a folder is where the socket is.
    let folder = options
        .get_socket()
        .cloned()
        .or_else(|| options.get_host().starts_with('/').then(|| PathBuf::from(options.get_host())));
    match folder {
        #[cfg(unix)]
        Some(folder) => {
            if let Ok(server) = tokio::net::UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await {
                pass_on(client, server, &shared).await;
            }
        }
        #[cfg(not(unix))]
        Some(_) => {}
        None => {
            if let Ok(server) = TcpStream::connect((options.get_host(), port)).await {
                let _ = server.set_nodelay(true);
                pass_on(client, server, &shared).await;
            }
        }
    }
}

async fn pass_on<S: AsyncRead + AsyncWrite + Unpin>(client: TcpStream, server: S, shared: &Shared) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let committing = AtomicBool::new(false);
    let requests = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let read = match from_client.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => read,
            };
            // A simple query of nothing but COMMIT, as drivers send it.
            if buffer[..read].ends_with(b"Q\0\0\0\x0bCOMMIT\0") && shared.break_at_commit.load(Ordering::SeqCst) {
                committing.store(true, Ordering::SeqCst);
            }
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_server.shutdown().await;
    };
    let answers = async {
        // Each message is a letter, a length that counts itself, and the rest.
        while let Ok(letter) = from_server.read_u8().await {
            let Ok(length) = from_server.read_u32().await else { break };
            let mut message = vec![letter];
            message.extend(length.to_be_bytes());
            message.resize(length as usize + 1, 0);
            if from_server.read_exact(&mut message[5..]).await.is_err() || committing.load(Ordering::SeqCst) {
                break;
            }
            let _passing = shared.held.read().await;
            if letter == b'Z' {
                shared.round_trips.fetch_add(1, Ordering::SeqCst);
            }
            if to_client.write_all(&message).await.is_err() {
                break;
            }
        }
    };
    // Either side's end is the end.
    tokio::select! {
        () = requests => {}
        () = answers => {}
    }
}
