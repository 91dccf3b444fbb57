//! What the matrix prints at its end.

use std::io::{self, Write};
use std::time::Duration;

use super::counts::Counts;

/// One package on one version.
pub(super) struct Row {
    pub(super) version: u32,
    pub(super) server: String,
    pub(super) package: String,
    pub(super) passed: bool,
    pub(super) counts: Counts,
    pub(super) took: Duration,
}

/// Prints the table, and below it what could not run.
pub(super) fn print(rows: &[Row]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for line in lines(rows) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn lines(rows: &[Row]) -> Vec<String> {
    let mut lines =
        vec![String::new(), line(["version", "server", "package", "result", "tests", "failed", "not run", "seconds"])];
    for Row { version, server, package, passed, counts, took } in rows {
        lines.push(line([
            &version.to_string(),
            server,
            package,
            if *passed { "pass" } else { "FAIL" },
            &(counts.passed + counts.failed).to_string(),
            &counts.failed.to_string(),
            &counts.not_run().to_string(),
            &format!("{:.1}", took.as_secs_f64()),
        ]));
    }
    if rows.iter().any(|row| row.counts.not_run() > 0) {
        lines.push("\nNOT RUN, although counted as passed; all of the test or a part of it:".to_owned());
    }
    for Row { version, package, counts, .. } in rows {
        for (why, tests) in &counts.not_run {
            lines.push(format!("  {version}, {package}: {why}"));
            lines.extend(tests.iter().map(|test| format!("      {test}")));
        }
    }
    lines
}

fn line([version, server, package, result, tests, failed, not_run, seconds]: [&str; 8]) -> String {
    format!(
        "{version:<7}  {server:<6}  {package:<34}  {result:<6}  {tests:>5}  {failed:>6}  {not_run:>7}  {seconds:>7}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_run_is_in_the_table_and_below_it() {
        let mut counts = Counts::default();
        counts.read("test result: ok. 12 passed; 0 failed; 0 ignored");
        counts.read("NOT RUN: a_dump: pg_dump is missing");
        let row = Row {
            version: 16,
            server: "16.14".to_owned(),
            package: "threadline-tests".to_owned(),
            passed: true,
            counts,
            took: Duration::from_millis(2_540),
        };
        let lines = lines(&[row]);
        assert_eq!(
            lines[2],
            "16       16.14   threadline-tests                    pass       12       0        1      2.5"
        );
        assert_eq!(lines[4..], ["  16, threadline-tests: pg_dump is missing", "      a_dump"]);
    }
}
