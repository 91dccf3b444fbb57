//! Threadline's commands inside a service's own binary, under `audit`, knowing its tables.
//!
//! ```sh
//! cargo run -p threadline-cli --example embedded -- audit install
//! cargo run -p threadline-cli --example embedded -- audit plan
//! ```

use std::process::ExitCode;

use threadline_core::{AuditedTable, CapturePolicy, Manifest};

/// Which tables the service wants audited, and how.
fn manifest() -> Manifest {
    Manifest::new()
        .table(AuditedTable::new("public", "posts").policy(CapturePolicy::new().mask(["author_email"])))
        .table(AuditedTable::new("billing", "lines").policy(CapturePolicy::new().require_actor()))
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(|command| command.to_str()) {
        Some("audit") => threadline_cli::run_from(&manifest(), ["shop audit".into()].into_iter().chain(arguments)),
        _ => {
            eprintln!("this service has one command: audit");
            ExitCode::FAILURE
        }
    }
}
