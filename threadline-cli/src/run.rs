//! From arguments to an exit code.

use std::ffi::OsString;
use std::process::ExitCode;
use std::thread;

use threadline_core::Manifest;
use tokio::runtime::Builder;

use crate::args::{Arguments, Command};
use crate::commands;
use crate::database::Database;
use crate::failure::{Failure, REFUSED, scrub};
use crate::output::Output;

pub(crate) fn run(manifest: &Manifest, arguments: Vec<OsString>) -> ExitCode {
    let arguments = match Arguments::read(manifest, arguments) {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let output = Output { json: arguments.global.json };
    // A thread of its own, since the caller may be inside a runtime, where one may not start another.
    let done = thread::scope(|scope| scope.spawn(|| block(manifest, &arguments, output)).join());
    match done {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            output.failure(&failure);
            ExitCode::from(failure.exit())
        }
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn block(manifest: &Manifest, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    manifest.validate()?;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("runtime", format!("cannot start: {error}")))?;
    runtime.block_on(perform(manifest, arguments, output))
}

async fn perform(manifest: &Manifest, arguments: &Arguments, output: Output) -> Result<(), Failure> {
    let schema = &arguments.global.schema;
    match &arguments.command {
        Command::Install(install) if install.dry_run => return commands::install::script(schema, output),
        Command::Uninstall(uninstall) if uninstall.dry_run || !uninstall.yes => {
            return commands::install::uninstall_script(uninstall, schema, output);
        }
        Command::Export(export) => commands::export::check(export, output)?,
        _ => {}
    }
    let database = Database::connect(&arguments.global).await?;
    let done = match &arguments.command {
        Command::Install(_) => commands::install::install(&database, manifest, output).await,
        Command::Uninstall(_) => commands::install::uninstall(&database, output).await,
        Command::Plan(capture) => commands::capture::plan(&database, manifest, capture, output).await,
        Command::Enable(enable) => commands::capture::enable(&database, manifest, enable, output).await,
        Command::Timeline(timeline) => commands::read::timeline(&database, timeline, output).await,
        Command::History(history) => commands::read::history(&database, history, output).await,
        Command::AsOf(as_of) => commands::read::as_of(&database, as_of, output).await,
        Command::Count(count) => commands::read::count(&database, count, output).await,
        Command::Transaction(found) => commands::investigate::transaction(&database, found, output).await,
        Command::Incident(incident) => commands::investigate::incident(&database, incident, output).await,
        Command::Correlation(correlation) => commands::investigate::correlation(&database, correlation, output).await,
        Command::Actor(actor) => commands::investigate::actor(&database, actor, output).await,
        Command::Diff(diff) => commands::investigate::diff(&database, diff, output).await,
        Command::Export(export) => commands::export::export(&database, export, output).await,
    };
    database.close().await;
    done
}

/// What clap has to say: help, the version, or how the arguments are wrong.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Help is still help when nobody reads it to the end.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // An argument that is quoted back may be a URL with a password.
    let text = scrub(&error.render().ansi().to_string());
    anstream::eprint!("{text}");
    ExitCode::from(REFUSED)
}
