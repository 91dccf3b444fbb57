//! A process that owns servers and ends as it is told, for the tests of what it leaves behind.
//!
//! Prints what it owns, one `name value` a line, then `ready`, then reads how to end: `return`, `exit`, `panic` or
//! `abort`. Being killed needs no telling.

use std::error::Error;
use std::io::{self, Write};
use std::process;

use threadline_testkit::{PgBouncer, PgBouncerOptions, Server};

#[expect(clippy::panic, reason = "one of the ways to end that tests ask for")]
fn main() -> Result<(), Box<dyn Error>> {
    let server = Server::shared()?;
    let database = server.database_from("owner", "CREATE TABLE t (x int)")?;
    let mut out = io::stdout();
    writeln!(out, "database {}", database.name())?;
    writeln!(out, "url {}", database.url())?;
    if let Some(dir) = server.socket_dir() {
        writeln!(out, "dir {}", dir.display())?;
    }
    let pooler = if std::env::args().any(|argument| argument == "pgbouncer") {
        Some(PgBouncer::start(server, PgBouncerOptions::default())?)
    } else {
        None
    };
    if let Some(pooler) = &pooler {
        writeln!(out, "pooler {}", pooler.url(database.name()))?;
    }
    writeln!(out, "ready")?;

    let mut order = String::new();
    io::stdin().read_line(&mut order)?;
    match order.trim() {
        "exit" => process::exit(3),
        "panic" => panic!("as ordered"),
        "abort" => process::abort(),
        _ => Ok(()),
    }
}
