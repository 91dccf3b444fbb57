//! The demonstration as a newcomer runs it: what it prints is what it claims.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

fn quickstart(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command.args(arguments).stdin(Stdio::null());
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[track_caller]
fn printed(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(status.success() && stderr.is_empty(), "{status}\n{stderr}\n{stdout}");
    stdout
}

/// What it prints without arguments.
static REPORT: LazyLock<String> = LazyLock::new(|| printed(quickstart(&[])));

/// The lines about one audit transaction or failed action: from its heading to the next empty line.
fn chapter<'a>(report: &'a str, heading: &str) -> &'a str {
    let start = report.find(heading).unwrap_or_else(|| panic!("no {heading} in\n{report}"));
    let rest = &report[start..];
    &rest[..rest.find("\n\n").unwrap_or(rest.len())]
}

/// Every time of day, the server's version and the role replaced.
fn steady(report: &str) -> String {
    let mut steady = String::new();
    let mut rest = report;
    while let Some(character) = rest.chars().next() {
        let form = "00:00:00.000";
        let is_time = rest.len() >= form.len()
            && form
                .bytes()
                .zip(rest.bytes())
                .all(|(form, byte)| if form == b'0' { byte.is_ascii_digit() } else { byte == form });
        let length = if is_time { form.len() } else { character.len_utf8() };
        steady.push_str(if is_time { "hh:mm:ss.mmm" } else { &rest[..length] });
        rest = &rest[length..];
    }
    let words = [("on PostgreSQL ", ": "), ("role ", ", program")];
    for (before, after) in words {
        if let Some(at) = steady.find(before).map(|at| at + before.len()) {
            let end = at + steady[at..].find(after).unwrap();
            steady.replace_range(at..end, "*");
        }
    }
    steady
}

#[test]
fn the_thread_is_told_as_it_happened() {
    let report = &*REPORT;
    insta::assert_snapshot!("report", steady(report));

    let placed = chapter(report, "user:ada  order.placed");
    assert!(placed.contains("correlation web-1001") && placed.contains("request req-1"), "{placed}");
    assert!(placed.contains("+ orders 1") && placed.contains("+ order_lines line=2 order_id=1"), "{placed}");
    assert!(placed.contains("~ products TEA  stock 100 → 98"), "{placed}");

    let corrected = chapter(report, "admin:kim on behalf of user:lin-from-purchasing  price.corrected");
    assert!(corrected.contains("because \"the supplier's list was misread\""), "{corrected}");
    assert!(corrected.contains("~ products CUP  price 12.00 → 10.50"), "{corrected}");

    let shipped = chapter(report, "job:shipping  orders.shipped");
    assert!(shipped.contains("job job-5150") && shipped.contains("correlation nightly-12"), "{shipped}");
    for order in [1, 2] {
        assert!(shipped.contains(&format!("~ orders {order}  status \"paid\" → \"shipped\"")), "{shipped}");
    }

    let cancelled = chapter(report, "user:grace  order.cancelled");
    assert!(
        cancelled.contains("- orders 3") && cancelled.contains("- order_lines line=1 order_id=3"),
        "by cascade: {cancelled}"
    );

    let failed = chapter(report, "user:grace  payment.failed (error)");
    assert!(failed.contains("because \"insufficient funds\""), "{failed}");

    let psql = chapter(report, "nobody was named: role");
    assert!(psql.contains("program psql") && psql.contains("~ products TEA  stock 93 → 500"), "{psql}");
}

#[test]
fn a_row_is_shown_as_it_was_and_as_it_is() {
    let report = &*REPORT;
    let then = chapter(report, "products CUP as it was");
    assert!(then.contains(r#"then  {"sku": "CUP", "name": "Porcelain cup", "price": 12.00, "stock": 35}"#), "{then}");
    assert!(then.contains(r#""price": 10.50"#), "{then}");
}

#[test]
fn what_was_rolled_back_or_changed_nothing_left_nothing() {
    let report = &*REPORT;
    let proof = chapter(report, "What the trail holds of it");
    let rows = |what: &str| {
        let line = proof.lines().find(|line| line.contains(what)).unwrap();
        line.split_whitespace().rev().nth(1).unwrap().to_owned()
    };
    assert_eq!(rows("bulk update of the job"), "2");
    assert_eq!(rows("payment that was declined"), "0");
    assert_eq!(rows("save of an unchanged form"), "0");
    assert_eq!(rows("e-mail addresses, card tokens"), "0");
    assert_ne!(rows("the same search for a name"), "0", "the search finds what is there");
    assert!(proof.contains("audit transaction: none"), "{proof}");
    assert!(!report.contains("3  status \"placed\" → \"paid\""), "{report}");
}

#[test]
fn no_secret_is_printed() {
    let report = &*REPORT;
    for secret in ["ada@example.com", "grace@example.com", "example.com", "tok_4242424242", "4242"] {
        assert!(!report.contains(secret), "{secret} in\n{report}");
    }
    assert!(report.contains(r#"email "[REDACTED]""#), "{report}");
}

#[test]
fn it_fits_a_terminal_and_is_coloured_only_there() {
    let report = &*REPORT;
    for line in report.lines() {
        assert!(line.chars().count() <= 100, "{line}");
        assert_eq!(line, line.trim_end(), "no space at the end");
    }
    assert!(!report.contains('\u{1b}'), "{report}");
    let mut forced = quickstart(&[]);
    forced.env("CLICOLOR_FORCE", "1");
    assert!(printed(forced).contains("\u{1b}["));
    let mut refused = quickstart(&[]);
    refused.env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1");
    assert!(!printed(refused).contains("\u{1b}["));
}

#[test]
fn without_postgresql_one_screen_says_what_to_do() {
    let mut command = quickstart(&[]);
    command.env_remove("DATABASE_URL").env("THREADLINE_PG_BIN", "/nonexistent");
    let output = command.output().unwrap();
    let stderr = text(output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(output.stdout.is_empty());
    assert!(stderr.contains("THREADLINE_PG_BIN is /nonexistent"), "{stderr}");
    assert!(stderr.contains("Install PostgreSQL 14 or newer"), "{stderr}");
    assert!(stderr.lines().count() <= 30, "{stderr}");
}

#[test]
fn keeping_the_database_says_how_to_look_around() {
    // Enter comes at once here: nobody is there to type.
    let report = printed(quickstart(&["--keep"]));
    for hint in
        ["export DATABASE_URL=", "-- timeline --correlation-id", "-- history orders 1", "psql \"$DATABASE_URL\""]
    {
        assert!(report.contains(hint), "{hint} in\n{report}");
    }
    assert!(!REPORT.contains("export DATABASE_URL="));
}

#[test]
fn unknown_arguments_are_refused() {
    let output = quickstart(&["--kep"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(output.stderr).starts_with("usage: quickstart"));
    assert!(printed(quickstart(&["--help"])).starts_with("usage: quickstart"));
}
