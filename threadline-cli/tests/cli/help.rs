//! What the program says about itself.

use crate::support::bare;

const COMMANDS: [&str; 14] = [
    "install",
    "uninstall",
    "plan",
    "enable",
    "timeline",
    "history",
    "as-of",
    "count",
    "transaction",
    "incident",
    "correlation",
    "actor",
    "diff",
    "export",
];

/// Every help text, as users see it 100 columns wide.
#[test]
fn help_is_pinned() {
    for command in COMMANDS {
        insta::assert_snapshot!(format!("help_{command}"), bare(&[command, "--help"]).text());
    }
    let help = bare(&["--help"]).text();
    for line in help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty()) {
        let command = line.trim_start_matches("  ").split(' ').next().unwrap();
        if line.starts_with("   ") {
            continue; // the description goes on
        }
        assert!(command == "help" || COMMANDS.contains(&command), "{command} is not pinned");
    }
    insta::assert_snapshot!("help", help);
}

#[test]
fn no_line_of_help_is_wider_than_100_columns() {
    for command in COMMANDS {
        for line in bare(&[command, "--help"]).text().lines() {
            assert!(line.chars().count() <= 100, "{command}: {line}");
        }
    }
}

#[test]
fn help_does_not_show_the_database_url() {
    let mut command = crate::support::command(&["timeline", "--help"]);
    command.env("DATABASE_URL", "postgres://me:hidden@host/db");
    let help = crate::support::run(command).text();
    assert!(help.contains("[env: DATABASE_URL]"), "{help}");
    assert!(!help.contains("hidden") && !help.contains("host/db"), "{help}");
}

#[test]
fn the_version_is_told() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(bare(&["--version"]).text(), format!("threadline {version}\n"));
}

#[test]
fn without_a_command_the_help_is_shown_and_the_usage_is_wrong() {
    let run = bare(&[]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("Usage: threadline"), "{run:?}");
}
