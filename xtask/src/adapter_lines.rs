//! How many lines an adapter takes, for `docs/adapters.md`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::run::Failed;

/// Each part of an adapter, and where it is from the root of the repository; what stands after `without` is left out.
const PARTS: [Part; 4] = [
    Part {
        adapter: "sqlx",
        source: "threadline-sqlx/src",
        without: "",
        column: "sqlx.rs",
        tests: &["tests/tests/sqlx"],
    },
    Part {
        adapter: "SeaORM",
        source: "threadline-seaorm/src",
        without: "",
        column: "seaorm.rs",
        tests: &["tests/seaorm/tests"],
    },
    Part {
        adapter: "Diesel",
        source: "threadline-diesel/src",
        without: "threadline-diesel/src/asynchronous",
        column: "diesel.rs",
        tests: &["tests/diesel/tests", "tests/diesel-connection/tests"],
    },
    Part {
        adapter: "diesel-async",
        source: "threadline-diesel/src/asynchronous",
        without: "",
        column: "diesel_async.rs",
        tests: &["tests/diesel-async/tests"],
    },
];

struct Part {
    adapter: &'static str,
    source: &'static str,
    without: &'static str,
    column: &'static str,
    tests: &'static [&'static str],
}

/// Prints the rows of the table.
pub(crate) fn run() -> Result<ExitCode, Failed> {
    let rows = rows(root()).map_err(|error| Failed(format!("cannot read the sources: {error}")))?;
    let printed = rows.iter().try_for_each(|row| writeln!(io::stdout(), "{row}"));
    printed.map_err(|error| Failed(format!("cannot print the table: {error}")))?;
    Ok(ExitCode::SUCCESS)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// `| adapter | lines | of code | conformance | own tests |`
fn rows(root: &Path) -> io::Result<Vec<String>> {
    PARTS
        .iter()
        .map(|part| {
            let source: Vec<PathBuf> = files(&root.join(part.source))?
                .into_iter()
                .filter(|file| part.without.is_empty() || !file.starts_with(root.join(part.without)))
                .collect();
            let column = [root.join("tests/conformance/src/adapters").join(part.column)];
            let tests: Vec<PathBuf> =
                part.tests.iter().map(|folder| files(&root.join(folder))).collect::<io::Result<Vec<_>>>()?.concat();
            Ok(format!(
                "| {} | {} | {} | {} | {} |",
                part.adapter,
                sum(&source, |text| text.lines().count())?,
                sum(&source, code)?,
                sum(&column, |text| text.lines().count())?,
                sum(&tests, |text| text.lines().count())?,
            ))
        })
        .collect()
}

fn sum(files: &[PathBuf], count: impl Fn(&str) -> usize) -> io::Result<usize> {
    files.iter().map(|file| fs::read_to_string(file).map(|text| count(&text))).sum()
}

/// Lines that are neither empty nor a comment, without the unit tests at the end of a file.
fn code(text: &str) -> usize {
    let text = text.split_once("\n#[cfg(test)]\nmod ").map_or(text, |(before, _)| before);
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")).count()
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_unit_tests_are_not_code() {
        assert_eq!(
            code("//! Doc.\n\nfn a() {\n    // why\n    b()\n}\n\n#[cfg(test)]\nmod tests {\n    fn c() {}\n}\n"),
            3
        );
    }

    /// The numbers of a row, if it is this adapter's.
    fn numbers(row: &str, adapter: &str) -> Option<Vec<usize>> {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let (name, numbers) = cells.split_first()?;
        (*name == adapter).then(|| numbers.iter().map_while(|number| number.parse().ok()).collect())
    }

    #[test]
    fn the_book_is_not_far_from_the_truth() {
        let page = fs::read_to_string(root().join("docs/adapters.md")).unwrap();
        for row in rows(root()).unwrap() {
            let adapter = row.trim_matches('|').split('|').next().unwrap().trim().to_owned();
            let now = numbers(&row, &adapter).unwrap();
            let told = page.lines().find_map(|line| numbers(line, &adapter).filter(|told| told.len() == now.len()));
            let told = told.unwrap_or_else(|| panic!("docs/adapters.md has no row for {adapter}"));
            for (told, now) in told.into_iter().zip(now) {
                assert!(told.abs_diff(now) <= 20 + now / 5, "{adapter}: `cargo xtask adapter-lines` says {row}");
            }
        }
    }
}
