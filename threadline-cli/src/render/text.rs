//! Text from the database on a terminal.

use serde_json::value::RawValue;

/// The longest value that is shown whole, in characters.
const MAX_VALUE: usize = 80;

/// The text without anything that would move the cursor, colour the screen or reverse the line.
pub(crate) fn plain(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if drives_terminal(character) {
            clean.push_str(&character.escape_unicode().to_string());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// Whether it would do more than appear: control characters, and those that change the direction of writing.
pub(crate) fn drives_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A JSON value on one line, its middle left out when it is long.
pub(crate) fn value(json: &RawValue) -> String {
    shortened(&plain(json.get()), MAX_VALUE)
}

pub(crate) fn shortened(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most).collect();
    format!("{kept}… ({length} characters)")
}

/// How many columns a terminal needs for it, near enough: every character counts as one.
pub(crate) fn length(text: &str) -> usize {
    text.chars().count()
}

/// The text and as many spaces as make it `width` long.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(length(text))))
}

/// The parts one after another, two spaces apart, in lines of at most `width`, each line indented.
pub(crate) fn flow(parts: &[String], indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut used = 0;
    for part in parts {
        let needed = length(part) + 2;
        if used > 0 && indent + used + needed > width {
            text.push('\n');
            used = 0;
        }
        text.push_str(&if used == 0 { " ".repeat(indent) } else { "  ".to_owned() });
        text.push_str(part);
        used += needed;
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_the_database_cannot_drive_the_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\u{9b}c\u{202e}d\ne"), r"a\u{1b}[2Jb\u{9b}c\u{202e}d\u{a}e");
        assert_eq!(plain("Größe ✓"), "Größe ✓");
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(shortened("äöü", 3), "äöü");
        assert_eq!(shortened("äöüß", 3), "äöü… (4 characters)");
    }

    #[test]
    fn parts_flow_into_lines() {
        let parts = ["one", "two", "three"].map(str::to_owned);
        assert_eq!(flow(&parts, 2, 12), "  one  two\n  three\n");
        assert_eq!(flow(&[], 2, 12), "");
    }
}
