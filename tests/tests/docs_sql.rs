//! Every SQL block of the book runs, page by page, in the order it stands.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed expectation is a failed test")]

use std::{fs, path::Path};

use threadline_core::{Schema, kernel};
use threadline_testkit::require_server;
use threadline_tests::book::blocks;

#[test]
fn every_sql_block_of_the_book_runs() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let mut executed = 0;
    let mut pages: Vec<_> = fs::read_dir(&docs).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for page in pages.iter().filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = fs::read_to_string(page).unwrap();
        let blocks = blocks(&text, "sql");
        if blocks.is_empty() {
            continue;
        }
        let database = require_server()
            .database_from("docs", &kernel::install_script(&Schema::default()))
            .expect("a database with the kernel installed");
        database.execute("DROP ROLE IF EXISTS docs_app; DROP ROLE IF EXISTS docs_auditor").unwrap();
        for (index, block) in blocks.iter().enumerate() {
            database
                .execute(block)
                .unwrap_or_else(|error| panic!("block {} of {}: {error}\n{block}", index + 1, page.display()));
            executed += 1;
        }
        database
            .execute(
                "DO $$ DECLARE r name; BEGIN FOR r IN SELECT rolname FROM pg_roles WHERE rolname IN ('docs_app', 'docs_auditor')
                 LOOP EXECUTE format('DROP OWNED BY %I', r); EXECUTE format('DROP ROLE %I', r); END LOOP; END $$",
            )
            .unwrap();
    }
    assert!(executed >= 9, "only {executed} SQL blocks found in the book");
}
