//! Serves the help desk on a throwaway PostgreSQL until it is interrupted.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use example_sqlx::{AppState, router};
use sqlx::PgPool;
use threadline_testkit::Server;
use tokio::net::TcpListener;

const WHAT_TO_TRY: &str = r#"
  curl -s ADDRESS/tickets -H 'x-user-id: 42' -H 'content-type: application/json' \
      -d '{"subject": "The printer is on fire", "email": "ann@example.com"}'
  curl -s ADDRESS/tickets/1/close -H 'x-user-id: 7' -H 'x-request-id: req-7f3' -H 'content-type: application/json' \
      -d '{"reason": "it burned down"}'
  curl -s ADDRESS/tickets/1/history
  curl -s 'ADDRESS/audit?table=tickets&actor=user:7'
"#;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run() -> Result<(), Box<dyn Error>> {
    let database = Server::shared()?.database()?;
    let state = AppState::open(PgPool::connect(database.url()).await?).await?;
    // A port of your choice, else any that is free.
    let port = std::env::var("PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(0_u16);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let what_to_try = WHAT_TO_TRY.replace("ADDRESS", &address);
    writeln!(io::stdout(), "The help desk listens on {address}. Try:\n{what_to_try}")?;
    axum::serve(listener, router(state)).await?;
    Ok(())
}
