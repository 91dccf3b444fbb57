//! Every byte that the audit schema keeps, for tests that look for what must not be there.

use std::fs;
use std::path::Path;

use threadline_testkit::{Database, require_server};

use crate::programs::Programs;
use crate::session::Session;

/// Where text that holds this mark was found, with what stands around it.
pub(crate) fn places_of(database: &Database, mark: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for text in [String::from_utf8_lossy(bytes).into_owned(), unhexed(bytes)] {
            if let Some(at) = text.find(mark) {
                let from = text.floor_char_boundary(at.saturating_sub(40));
                let to = text.floor_char_boundary(text.len().min(at + 60));
                found.push(format!("{place}: {}", &text[from..to]));
            }
        }
    };
    let mut session = Session::open(database);
    look("rows", rows(&mut session).as_bytes());
    look("functions", functions(&mut session).as_bytes());
    if let Some(programs) = Programs::of(require_server()) {
        look("pg_dump", &programs.dump(database, &["--schema=threadline"]));
    }
    for (relation, bytes) in files(&mut session) {
        look(&relation, &bytes);
    }
    found
}

/// Whether a row of the audit schema or a function of it holds this mark: the quick form of [`places_of`].
pub(crate) fn is_recorded(session: &mut Session, mark: &str) -> bool {
    let text = rows(session) + &functions(session);
    text.contains(mark) || unhexed(text.as_bytes()).contains(mark)
}

/// Every row of every table of the audit schema.
fn rows(session: &mut Session) -> String {
    let tables = session
        .column("SELECT oid::regclass FROM pg_class WHERE relnamespace = 'threadline'::regnamespace AND relkind = 'r'");
    tables
        .iter()
        .flat_map(|table| session.column(&format!("SELECT t::text FROM {table} t")))
        .collect::<Vec<_>>()
        .join("\n")
}

fn functions(session: &mut Session) -> String {
    session.column("SELECT prosrc FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace").join("\n")
}

/// The files of its tables and indexes, TOAST included. A running server's own files cannot be read.
fn files(session: &mut Session) -> Vec<(String, Vec<u8>)> {
    let Some(data) = require_server().socket_dir().map(|dir| dir.join("data")) else { return Vec::new() };
    session.run("CHECKPOINT");
    let relations = session.rows(
        "WITH ours AS (SELECT oid, reltoastrelid FROM pg_class WHERE relnamespace = 'threadline'::regnamespace),
              heaps AS (SELECT oid FROM ours UNION SELECT reltoastrelid FROM ours)
         SELECT c.oid::regclass::text, pg_relation_filepath(c.oid) FROM pg_class c
         WHERE (c.oid IN (SELECT oid FROM heaps) OR c.oid IN (SELECT indexrelid FROM pg_index WHERE indrelid IN (SELECT oid FROM heaps)))
             AND pg_relation_filepath(c.oid) IS NOT NULL",
    );
    relations
        .into_iter()
        .map(|row| {
            let [Some(name), Some(path)] = &row[..] else { panic!("{row:?}") };
            (name.clone(), read(&data.join(path)))
        })
        .collect()
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands in `bytes` as hexadecimal digits, each run of them decoded from its first and from its second digit.
fn unhexed(bytes: &[u8]) -> String {
    let mut decoded = Vec::new();
    for run in bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|run| run.len() >= 12) {
        for start in [0, 1] {
            decoded.push(b' ');
            decoded.extend(run[start..].chunks_exact(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])));
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => (byte | 0x20) - b'a' + 10,
    }
}

#[test]
fn the_search_sees_text_bytes_and_numbers() {
    let (database, mut session) = crate::support::database_with(
        "CREATE TABLE t (id int PRIMARY KEY, t text, y bytea, j json, a text[], n numeric); SELECT threadline.enable_capture('t')",
    );
    session.run("INSERT INTO t VALUES (1, 'plainsecret', 'bytesecret', '{\"a\":\"jsonsecret\"}', '{arraysecret}', 9182736455463728)");
    for secret in ["plainsecret", "bytesecret", "jsonsecret", "arraysecret", "9182736455463728"] {
        let places = places_of(&database, secret);
        assert!(places.iter().any(|place| place.contains("rows")), "{secret}: {places:?}");
        if Programs::of(require_server()).is_some() {
            assert!(places.iter().any(|place| place.contains("pg_dump")), "{secret}: {places:?}");
        }
        // A number is kept in digits of its own kind.
        if require_server().socket_dir().is_some() && secret.contains("secret") {
            assert!(places.iter().any(|place| place.contains("audit_changes_2")), "{secret}: {places:?}");
        }
    }
}
