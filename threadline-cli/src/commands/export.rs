//! `export`: into a file, or to the standard output.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use threadline_core::{Compression, Export, ExportFormat, ExportSummary};
use threadline_sqlx::Trail;

use crate::args::ExportArgs;
use crate::database::Database;
use crate::failure::Failure;
use crate::output::Output;
use crate::render::drives_terminal;

#[derive(Serialize)]
struct Written<'a> {
    file: &'a Path,
    #[serde(flatten)]
    summary: ExportSummary,
}

pub(crate) async fn export(database: &Database, arguments: &ExportArgs, output: Output) -> Result<(), Failure> {
    let export = options(arguments, Export::new(arguments.filters.timeline(database).await?));
    let summary = match &arguments.output {
        Some(file) => {
            let summary = into_file(database, export, file, output).await?;
            let written = Written { file, summary };
            output.result(&written, |_| String::new())?;
            output.remark(&format!("{}: {}", file.display(), told(summary.returned_count)));
            Some(summary)
        }
        None => to_stdout(database, export).await?,
    };
    if summary.is_some_and(|summary| summary.truncated) {
        output.remark(&format!("There are more than {}: give --max-rows or --all-rows.", arguments.max_rows));
    }
    Ok(())
}

fn told(count: u64) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

/// What can be refused without a database.
pub(crate) fn check(arguments: &ExportArgs, output: Output) -> Result<(), Failure> {
    match &arguments.output {
        Some(file) if !arguments.overwrite && file.exists() => {
            Err(Failure::refused("file_exists", format!("{} exists already", file.display()))
                .remedy("Choose another name, or give --overwrite"))
        }
        None if output.json => Err(Failure::refused(
            "invalid_input",
            "--json prints the summary of an export, and the changes would go to the same place",
        )
        .remedy("Give --output, or --format json for changes as a JSON document")),
        None if arguments.compress.is_some() && io::stdout().is_terminal() => {
            Err(Failure::refused("invalid_input", "a terminal cannot show what is compressed")
                .remedy("Give --output, or leave --compress out"))
        }
        _ => Ok(()),
    }
}

fn options(arguments: &ExportArgs, mut export: Export) -> Export {
    let (by_name, compression) = arguments.output.as_deref().map(named).unwrap_or_default();
    export = export.format(arguments.format.or(by_name).unwrap_or_default());
    export = if arguments.all_rows { export.all_rows() } else { export.max_rows(arguments.max_rows) };
    if let Some(compression) = arguments.compress.or(compression) {
        export = export.compressed(compression);
    }
    if arguments.raw_cells {
        export = export.raw_cells();
    }
    export
}

/// What the name of a file tells: the format, and how it is compressed.
fn named(file: &Path) -> (Option<ExportFormat>, Option<Compression>) {
    let compression = extension(file).and_then(Compression::of_extension);
    let stem = if compression.is_some() { file.file_stem().map(Path::new) } else { Some(file) };
    (stem.and_then(extension).and_then(|extension| extension.parse().ok()), compression)
}

fn extension(file: &Path) -> Option<&str> {
    file.extension().and_then(|extension| extension.to_str())
}

/// Under a name of its own until it is whole: what has the right name is complete.
async fn into_file(database: &Database, export: Export, file: &Path, output: Output) -> Result<ExportSummary, Failure> {
    let part = partial(file);
    let failed =
        |error: io::Error| Failure::failed("output_failed", format!("cannot write {}: {error}", file.display()));
    let mut sink = Sink::new(File::create(&part).map_err(failed)?);
    if !output.json && io::stderr().is_terminal() {
        sink.progress = progress();
    }
    let written = database.audited.export_to(export, &mut sink).await.map_err(Failure::from);
    sink.progress.finish_and_clear();
    let done = written.and_then(|summary| {
        sink.to.sync_all().and_then(|()| fs::rename(&part, file)).map_err(failed)?;
        Ok(summary)
    });
    if done.is_err() {
        // The export's own failure is what counts.
        let _ = fs::remove_file(&part);
    }
    done
}

fn partial(file: &Path) -> PathBuf {
    let mut name = file.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".partial");
    file.with_file_name(name)
}

/// `None` when the reader went away, as `head` does.
async fn to_stdout(database: &Database, export: Export) -> Result<Option<ExportSummary>, Failure> {
    let stdout = io::stdout();
    let mut sink = Sink::new(stdout);
    sink.shown = sink.to.is_terminal();
    match database.audited.export_to(export, &mut sink).await {
        Ok(summary) => Ok(Some(summary)),
        Err(_) if sink.broken => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// How much was written, for who waits.
fn progress() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {bytes} written, {elapsed}") {
        bar.set_style(style);
    }
    bar
}

/// Where an export goes.
struct Sink<W> {
    to: W,
    progress: ProgressBar,
    /// On a terminal, which data must not drive.
    shown: bool,
    broken: bool,
}

impl<W: Write> Sink<W> {
    fn new(to: W) -> Self {
        Self { to, progress: ProgressBar::hidden(), shown: false, broken: false }
    }

    fn heard<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.broken |= result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = if self.shown {
            self.to.write_all(harmless(&String::from_utf8_lossy(bytes)).as_bytes())
        } else {
            self.to.write_all(bytes)
        };
        self.heard(result)?;
        self.progress.inc(bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.heard(result)
    }
}

/// The lines without anything that drives a terminal, as JSON escapes it.
fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if drives_terminal(character) && !matches!(character, '\r' | '\n') {
            shown.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_tells_the_format() {
        let (gzip, zstd) = (Some(Compression::Gzip), Some(Compression::Zstd));
        for (file, format, compression) in [
            ("posts.csv", Some(ExportFormat::Csv), None),
            ("a.b/posts.ndjson", Some(ExportFormat::Ndjson), None),
            ("posts.json.gz", Some(ExportFormat::Json), gzip),
            ("posts.csv.zst", Some(ExportFormat::Csv), zstd),
            ("posts.gz", None, gzip),
            ("posts.zst", None, zstd),
            ("posts", None, None),
            ("posts.txt", None, None),
        ] {
            assert_eq!(named(Path::new(file)), (format, compression), "{file}");
        }
    }

    #[test]
    fn a_terminal_is_not_driven() {
        assert_eq!(harmless("a\u{1b}[2J,\u{9b}\r\n"), "a\\u001b[2J,\\u009b\r\n");
        let mut sink = Sink::new(Vec::new());
        sink.shown = true;
        sink.write_all(b"\x1b").unwrap();
        assert_eq!(sink.to, b"\\u001b");
    }

    #[test]
    fn what_is_not_whole_has_another_name() {
        assert_eq!(partial(Path::new("a/posts.csv")), Path::new("a/posts.csv.partial"));
    }
}
