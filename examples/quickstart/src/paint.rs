//! Colour on a terminal, plain text elsewhere.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

pub(crate) const TITLE: Style = Style::new().bold();
pub(crate) const WHO: Style = AnsiColor::Cyan.on_default();
pub(crate) const NEW: Style = AnsiColor::Green.on_default();
pub(crate) const CHANGED: Style = AnsiColor::Yellow.on_default();
pub(crate) const GONE: Style = AnsiColor::Red.on_default();
pub(crate) const QUIET: Style = Style::new().dimmed();

/// How wide a line may be.
const WIDTH: usize = 100;

/// Prints to stdout. Whoever closed it has seen enough.
pub(crate) fn print(text: &str) {
    let _ = anstream::AutoStream::auto(io::stdout().lock()).write_all(text.as_bytes());
}

pub(crate) fn title(text: &str) -> String {
    format!("\n{TITLE}{text}{TITLE:#}\n")
}

/// `head`, then the parts separated by commas, in lines that fit; further lines start below the first part.
pub(crate) fn flow(head: &str, style: Style, parts: &[String]) -> String {
    let indent = head.chars().count();
    let mut text = format!("{style}{head}{style:#}");
    let mut used = indent;
    for (number, part) in parts.iter().enumerate() {
        let last = number + 1 == parts.len();
        let part = if last { part.clone() } else { format!("{part}, ") };
        let needed = part.trim_end().chars().count();
        if used > indent && used + needed > WIDTH {
            text = format!("{}\n{}", text.trim_end(), " ".repeat(indent));
            used = indent;
        }
        used += part.chars().count();
        text.push_str(&part);
    }
    format!("{}\n", text.trim_end())
}
