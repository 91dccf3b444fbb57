//! Starts the service on a throwaway PostgreSQL; see the library.

use std::error::Error;
use std::process::ExitCode;

use threadline_testkit::Server;
use tokio::net::TcpListener;

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
    match run(server) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn run(server: &Server) -> Result<(), Box<dyn Error>> {
    let database = server.database()?;
    let service = example_seaorm::service(sea_orm::Database::connect(database.url()).await?).await?;
    let port = std::env::var("PORT").unwrap_or_else(|_| "0".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    eprintln!("{}", what_to_try(&listener.local_addr()?.to_string()));
    axum::serve(listener, service).with_graceful_shutdown(interrupted()).await?;
    eprintln!("The database is gone now.");
    Ok(())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("error: Ctrl-C cannot be waited for: {error}");
    }
}

fn what_to_try(address: &str) -> String {
    format!(
        r#"A blog, audited, on http://{address} until Ctrl-C. Try:

  curl -s http://{address}/posts -H 'x-user: 42' -H 'content-type: application/json' \
      -d '{{"title": "Ship it", "author_email": "ada@example.org", "tags": ["rust", "audit"]}}'
  curl -s http://{address}/posts/1/publish -H 'x-user: 7' -H 'x-request-id: req-7f3' \
      -H 'content-type: application/json' -d '{{"reason": "editor approved"}}'
  curl -s http://{address}/posts/1/history
  curl -s "http://{address}/posts/1/as-of?at=$(date -u +%FT%TZ)"
"#
    )
}
