//! Threadline in one run: a small ordering service, audited end to end.
//!
//! ```sh
//! cargo xtask demo                # or: cargo run -q -p quickstart
//! cargo xtask demo -- --keep      # and look around in the database afterwards
//! ```
//!
//! - `shop.rs` is the service, written as a user of Threadline writes one. Start there.
//! - `story.rs` is what happens to it: people, a job, and somebody in psql.
//! - `report.rs` asks the trail who did what, and why; `paint.rs` prints it.

mod paint;
mod report;
mod shop;
mod story;

use std::error::Error;
use std::process::ExitCode;

use sqlx::PgPool;
use threadline_testkit::Server;

use crate::shop::Shop;

const USAGE: &str = "usage: quickstart [--keep]

  --keep    keep the database until Enter is pressed, to look around in it";

/// No PostgreSQL to run on.
const NO_SERVER: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let keep = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--keep"] => true,
        ["--help" | "-h"] => {
            paint::print(&format!("{USAGE}\n"));
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let server = match Server::shared() {
        Ok(server) => server,
        Err(unavailable) => {
            eprintln!("{unavailable}");
            return ExitCode::from(NO_SERVER);
        }
    };
    match run(server, keep) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(server: &Server, keep: bool) -> Result<(), Box<dyn Error>> {
    let database = server.database()?;
    let pool = PgPool::connect(database.url()).await?;
    let shop = Shop::open(pool.clone()).await?;
    let story = story::tell(&shop, database.url()).await?;
    paint::print(&report::of(&shop, &story, server.version()).await?);
    pool.close().await;

    if keep {
        // The URL of a server that was named to us may hold a password.
        let url = if server.bin_dir().is_some() { database.url() } else { "(your server's, with this database)" };
        paint::print(&report::look_around(&story, database.name(), url));
        std::io::stdin().read_line(&mut String::new())?;
    } else {
        paint::print("The database is gone now. To look around in it, run this again with --keep.\n");
    }
    Ok(())
}
