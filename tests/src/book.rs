//! The pages of the book, taken apart.

#![allow(clippy::panic, reason = "a page that cannot be read is a failed test")]

use std::{fs, path::Path};

/// A page of the book, by its file's name.
#[must_use]
pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contents of the fenced blocks of `language`, in order.
#[must_use]
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in page.lines() {
        match (&mut current, line.trim()) {
            (Some(_), "```") => found.extend(current.take()),
            (Some(block), _) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, fence) if fence.strip_prefix("```") == Some(language) => current = Some(String::new()),
            (None, _) => {}
        }
    }
    found
}

/// The blocks of `language` under the heading `## heading`.
#[must_use]
pub fn section(page: &str, heading: &str, language: &str) -> Vec<String> {
    let heading = format!("## {heading}");
    let lines = page.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with("## "));
    blocks(&lines.collect::<Vec<_>>().join("\n"), language)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "text\n## One\n```sql\nSELECT 1;\n```\n```rust\nfn f() {}\n```\n## Two\n```sql\nSELECT 2;\n```\n";

    #[test]
    fn a_block_is_found_by_its_language() {
        assert_eq!(blocks(PAGE, "sql"), ["SELECT 1;\n", "SELECT 2;\n"]);
    }

    #[test]
    fn a_block_is_found_under_its_heading() {
        assert_eq!(section(PAGE, "One", "sql"), ["SELECT 1;\n"]);
        assert_eq!(section(PAGE, "Two", "sql"), ["SELECT 2;\n"]);
        assert!(section(PAGE, "Three", "sql").is_empty());
    }
}
