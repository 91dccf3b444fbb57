//! Every test that `docs/pitfalls.md` names is there.

use std::fs;
use std::path::Path;

/// The links of a line whose text is a name in code: the name, and the file from `docs`.
fn links(line: &str) -> Vec<(&str, &str)> {
    let links = line.split("[`").skip(1);
    links
        .filter_map(|link| link.split_once("`]("))
        .filter_map(|(name, rest)| Some((name, rest.split_once(')')?.0)))
        .collect()
}

/// What a page says that is not so.
fn complaints(page: &str, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut complaints = Vec::new();
    for line in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| failure")) {
        if !line.contains("](../tests/") {
            complaints.push(format!("no test: {line}"));
        }
        for (name, file) in links(line) {
            let Some(source) = read(file) else {
                complaints.push(format!("{file} is not there"));
                continue;
            };
            if !["(", "<"].iter().any(|after| source.contains(&format!("fn {name}{after}"))) {
                complaints.push(format!("{file} has no {name}"));
            }
        }
    }
    complaints
}

#[test]
fn every_test_that_the_page_of_pitfalls_names_is_there() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let page = fs::read_to_string(docs.join("pitfalls.md")).unwrap_or_default();
    assert!(page.lines().filter(|line| line.starts_with("| ")).count() > 30, "the page is there");
    assert_eq!(complaints(&page, |file| fs::read_to_string(docs.join(file)).ok()), [""; 0]);
}

#[test]
fn a_page_that_names_what_is_not_there_is_found_out() {
    let read = |file: &str| (file == "../tests/a.rs").then(|| "fn one() {}".to_owned());
    let page = "| failure | met in | test |\n| x | y | [`one`](../tests/a.rs), [`two`](../tests/a.rs) |\n| x | y | [`one`](../tests/b.rs) |\n| x | y | none |";
    assert_eq!(
        complaints(page, read),
        ["../tests/a.rs has no two", "../tests/b.rs is not there", "no test: | x | y | none |"]
    );
}
