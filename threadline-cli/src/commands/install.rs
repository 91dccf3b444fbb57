//! `install` and `uninstall`.

use serde::Serialize;
use threadline_core::{InstalledVersion, Manifest, Schema, kernel};

use crate::args::Uninstall;
use crate::commands::capture::{self, Captured};
use crate::database::Database;
use crate::failure::Failure;
use crate::output::Output;

#[derive(Serialize)]
struct Script {
    sql: String,
}

#[derive(Serialize)]
struct Installed<'a> {
    schema: &'a str,
    version: u32,
    /// The version before; null when there was none.
    previous: Option<u32>,
    /// The manifest's tables.
    tables: Vec<Captured>,
}

#[derive(Serialize)]
struct Removed<'a> {
    schema: &'a str,
    version: Option<u32>,
}

/// `install --dry-run`.
pub(crate) fn script(schema: &Schema, output: Output) -> Result<(), Failure> {
    output.result(&Script { sql: kernel::install_script(schema) }, |script| in_transaction(&script.sql))
}

/// `uninstall --dry-run`, or without a yes.
pub(crate) fn uninstall_script(options: &Uninstall, schema: &Schema, output: Output) -> Result<(), Failure> {
    if !options.dry_run {
        return Err(Failure::refused(
            "not_confirmed",
            format!("this would remove the kernel and the whole trail in schema {}", schema.quoted()),
        )
        .remedy("Say --yes if you mean it, or --dry-run to see the SQL"));
    }
    output.result(&Script { sql: kernel::uninstall_script(schema) }, |script| in_transaction(&script.sql))
}

/// The script as psql can run it.
fn in_transaction(sql: &str) -> String {
    format!("BEGIN;\n{}\nCOMMIT;\n", sql.trim_end())
}

pub(crate) async fn install(database: &Database, manifest: &Manifest, output: Output) -> Result<(), Failure> {
    let previous = installed_version(database).await?;
    if let Some(newer) = previous.filter(|version| *version > kernel::LATEST) {
        return Err(Failure::refused(
            "newer_kernel",
            format!("the installed kernel has version {newer}, this program brings version {}", kernel::LATEST),
        )
        .remedy("Use a newer threadline"));
    }
    let tables = capture::before(database, manifest.tables(), previous.is_some()).await?;
    database.audited.install_manifest(manifest).await?;
    let installed = Installed { schema: database.schema().name(), version: kernel::LATEST, previous, tables };
    output.result(&installed, |installed| {
        let version = installed.version;
        let place = format!("in schema {}", database.schema().quoted());
        let mut text = match installed.previous {
            None => format!("Installed kernel version {version} {place}.\n"),
            Some(previous) if previous == version => {
                format!("Kernel version {version} {place} is up to date.\n")
            }
            Some(previous) => format!("Upgraded the kernel {place} from version {previous} to {version}.\n"),
        };
        text.extend(installed.tables.iter().map(Captured::sentence));
        text
    })
}

pub(crate) async fn uninstall(database: &Database, output: Output) -> Result<(), Failure> {
    let version = installed_version(database).await?;
    if version.is_some() {
        threadline_sqlx::uninstall(database.audited.unaudited(), database.schema()).await?;
    }
    let removed = Removed { schema: database.schema().name(), version };
    output.result(&removed, |removed| match removed.version {
        Some(version) => {
            format!("Removed kernel version {version} and the trail from schema {}.\n", database.schema().quoted())
        }
        None => format!("There is no kernel in schema {}; nothing was removed.\n", database.schema().quoted()),
    })
}

async fn installed_version(database: &Database) -> Result<Option<u32>, Failure> {
    database.read(&InstalledVersion).await
}
