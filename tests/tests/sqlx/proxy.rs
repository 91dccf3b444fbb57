//! A connection in the middle: counts round trips, holds answers back, and can break just when COMMIT is on its way.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedRwLockWriteGuard, RwLock};

#[derive(Default)]
struct Shared {
    round_trips: AtomicUsize,
    break_at_commit: AtomicBool,
    /// Read for each answer that is passed on.
    held: Arc<RwLock<()>>,
}

/// Passes PostgreSQL's protocol on.
pub(crate) struct Proxy {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Proxy {
    pub(crate) async fn before(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let proxy = Self {
            url: format!(
                "postgres://{}@127.0.0.1:{port}/{}?sslmode=disable",
                options.get_username(),
                options.get_database().unwrap()
            ),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&proxy.shared);
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(connect(client, options.clone(), Arc::clone(&shared)));
            }
        });
        proxy
    }

    /// The round trips since the last call. The server ends each with one message.
    pub(crate) fn round_trips(&self) -> usize {
        self.shared.round_trips.swap(0, Ordering::SeqCst)
    }

    /// No answer arrives until the value is dropped, so that what waits for one can be cancelled for certain.
    pub(crate) async fn hold(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.shared.held).write_owned().await
    }

    /// From now on a COMMIT reaches the server and its answer does not come back.
    pub(crate) fn break_at_commit(&self) {
        self.shared.break_at_commit.store(true, Ordering::SeqCst);
    }
}

async fn connect(client: TcpStream, options: PgConnectOptions, shared: Arc<Shared>) {
    client.set_nodelay(true).unwrap();
    let port = options.get_port();
    // A host that is a folder is where the socket is.
    let folder = options
        .get_socket()
        .cloned()
        .or_else(|| options.get_host().starts_with('/').then(|| PathBuf::from(options.get_host())));
    match folder {
        Some(folder) => {
            let server = UnixStream::connect(folder.join(format!(".s.PGSQL.{port}"))).await.unwrap();
            pass_on(client, server, &shared).await;
        }
        None => {
            let server = TcpStream::connect((options.get_host(), port)).await.unwrap();
            server.set_nodelay(true).unwrap();
            pass_on(client, server, &shared).await;
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
            // A simple query of nothing but COMMIT, as sqlx sends it.
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
