//! A lending library over HTTP, audited: axum, diesel-async, deadpool and Threadline.
//!
//! ```sh
//! cargo run -p example-diesel-async      # and follow what it prints
//! ```
//!
//! - `library.rs` is the service: what it does, and who did it and why. Start there.
//! - `http.rs` is its door: routes, who is calling, errors as status codes.
//! - `schema.rs` is what Diesel knows of the tables.

mod http;
mod library;
mod schema;

use std::error::Error;
use std::io::{Write, stdout};
use std::process::ExitCode;

use threadline_testkit::{Database, Server};
use tokio::net::TcpListener;

use crate::library::Library;

/// No PostgreSQL to run on.
const NO_SERVER: u8 = 3;

fn main() -> ExitCode {
    let server = match Server::shared() {
        Ok(server) => server,
        Err(unavailable) => {
            eprintln!("{unavailable}");
            return ExitCode::from(NO_SERVER);
        }
    };
    match server.database().map_err(Into::into).and_then(|database| serve(&database)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn serve(database: &Database) -> Result<(), Box<dyn Error>> {
    database.execute(schema::TABLES)?;
    let library = Library::open(database.url()).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    write!(stdout(), "{}", how_to_use_it(&listener.local_addr()?.to_string()))?;
    stdout().flush()?;
    axum::serve(listener, http::routes(library)).with_graceful_shutdown(enter()).await?;
    Ok(())
}

/// Returns when Enter is pressed, or nobody is there to press it.
async fn enter() {
    let pressed = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    // Whatever it was, it is over.
    drop(pressed.await);
}

fn how_to_use_it(address: &str) -> String {
    format!(
        "The library is open at http://{address}

  curl -X POST -H 'x-user: ada' http://{address}/books/1/borrow
  curl -X POST -H 'x-user: grace' http://{address}/books/1/borrow      # refused, and that is recorded
  curl -X POST -H 'x-user: ada' http://{address}/books/1/return
  curl http://{address}/books/1/history
  curl http://{address}/books/1?at=(an instant of the history)

Enter closes it.
"
    )
}
