//! `export`, into files and to the standard output.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{command, on, run, story};

/// A directory of a test's own, gone with the value.
struct Directory(PathBuf);

impl Directory {
    fn create(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("threadline-cli-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(file)).unwrap()
}

#[test]
fn the_standard_output_gets_what_a_file_gets() {
    let database = story();
    let directory = Directory::create("same");
    for format in ["csv", "ndjson"] {
        let file = directory.file(&format!("posts.{format}"));
        let run = on(&database, &["export", "--table", "posts", "--output", &file]);
        assert_eq!((run.code, &*run.stdout), (Some(0), ""));
        assert_eq!(run.stderr, format!("{file}: 3 changes\n"));
        let run = on(&database, &["export", "--table", "posts", "--format", format]);
        assert_eq!(run.stderr, "");
        assert_eq!(run.text(), read(&file));
    }
    let csv = read(&directory.file("posts.csv"));
    assert!(csv.starts_with("id,transaction_id,table_schema,"), "{csv}");
    assert_eq!(csv.matches("\r\n").count(), 4);
    assert!(!csv.contains("secret") && csv.contains("[REDACTED]"), "{csv}");
    let document = on(&database, &["export", "--format", "json"]).text();
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!((&document["format_version"], &document["returned_count"]), (&json!(1), &json!(7)));
}

#[test]
fn an_export_has_the_order_of_the_timeline() {
    let database = story();
    let ids = |value: &Value| value["id"].as_i64().unwrap();
    let page = on(&database, &["timeline", "--json"]).json();
    let timeline: Vec<i64> = page["entries"].as_array().unwrap().iter().map(|entry| ids(&entry["change"])).collect();
    let lines = on(&database, &["export", "--format", "ndjson"]).text();
    let exported: Vec<i64> = lines.lines().map(|line| ids(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(exported, timeline);
}

#[test]
fn the_summary_is_one_document() {
    let database = story();
    let directory = Directory::create("summary");
    let file = directory.file("all.json");
    let summary = on(&database, &["export", "--output", &file, "--max-rows", "2", "--json"]).json();
    let expected = json!({"file": file, "format": "json", "returned_count": 2, "max_rows": 2, "truncated": true});
    assert_eq!(summary, expected);
    let document: Value = serde_json::from_str(&read(&file)).unwrap();
    assert_eq!((document["changes"].as_array().unwrap().len(), &document["truncated"]), (2, &json!(true)));
    let summary = on(&database, &["export", "--output", &file, "--overwrite", "--all-rows", "--json"]).json();
    assert_eq!(
        (&summary["returned_count"], &summary["max_rows"], &summary["truncated"]),
        (&json!(7), &Value::Null, &json!(false))
    );
}

#[test]
fn that_there_is_more_is_said() {
    let database = story();
    let run = on(&database, &["export", "--format", "ndjson", "--max-rows", "2"]);
    assert_eq!(run.stderr, "There are more than 2: give --max-rows or --all-rows.\n");
    assert_eq!(run.text().lines().count(), 2);
}

#[test]
fn a_file_is_whole_or_not_there() {
    let database = story();
    let directory = Directory::create("whole");
    let file = directory.file("posts.csv");
    on(&database, &["export", "--table", "no_such", "--output", &file]).failed(2);
    assert_eq!(directory.names(), [""; 0]);
    on(&database, &["export", "--output", &file]).text();
    assert_eq!(directory.names(), ["posts.csv"]);
    let before = read(&file);
    on(&database, &["export", "--output", &file, "--table", "posts"]).failed(2);
    assert_eq!(read(&file), before, "what exists is not replaced");
    on(&database, &["export", "--output", &file, "--table", "no_such", "--overwrite"]).failed(2);
    assert_eq!(read(&file), before, "nor by an export that fails");
    on(&database, &["export", "--output", &file, "--table", "posts", "--overwrite"]).text();
    assert_ne!(read(&file), before);
    let stderr = on(&database, &["export", "--output", &directory.file("no/such/place.csv")]).failed(1);
    assert!(stderr.contains("cannot write"), "{stderr}");
}

#[test]
fn a_name_that_ends_with_gz_or_zst_is_compressed() {
    let database = story();
    let directory = Directory::create("compressed");
    let plain = on(&database, &["export", "--format", "ndjson"]).text();
    let (gzip, zstd) = (directory.file("posts.ndjson.gz"), directory.file("posts.ndjson.zst"));
    on(&database, &["export", "--output", &gzip]).text();
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(&gzip).unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, plain);
    on(&database, &["export", "--output", &zstd]).text();
    text.clear();
    let file = std::fs::File::open(&zstd).unwrap();
    ruzstd::decoding::StreamingDecoder::new(file).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, plain);
}

#[test]
fn what_is_said_counts_more_than_the_name() {
    let database = story();
    let directory = Directory::create("said");
    let begins = |arguments: &[&str], file: &str| {
        let mut command = command(&[&["export"], arguments].concat());
        command.env("DATABASE_URL", database.url());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        if file.is_empty() { output.stdout[..2].to_vec() } else { std::fs::read(file).unwrap()[..2].to_vec() }
    };
    assert_eq!(begins(&["--compress", "gzip"], ""), b"\x1f\x8b");
    assert_eq!(begins(&["--compress", "zstd"], ""), b"\x28\xb5");
    let file = directory.file("posts.csv.gz");
    assert_eq!(begins(&["--compress", "zstd", "--output", &file], &file), b"\x28\xb5");
    let stderr = on(&database, &["export", "--compress", "rar"]).failed(2);
    assert!(stderr.contains("gzip") && stderr.contains("zstd"), "{stderr}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let database = story();
    let mut command = command(&["export", "--format", "csv"]);
    command.env("DATABASE_URL", database.url()).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn cells_are_kept_from_being_formulas_unless_said() {
    let database = story();
    database
        .execute(
            r#"CREATE TABLE "=cmd" (id int PRIMARY KEY); SELECT threadline.enable_capture('"=cmd"'); INSERT INTO "=cmd" VALUES (1)"#,
        )
        .unwrap();
    let cells = |arguments: &[&str]| {
        let mut command = command(&[&["export", "--table", r#""=cmd""#], arguments].concat());
        command.env("DATABASE_URL", database.url());
        run(command).text()
    };
    assert!(cells(&[]).contains(r#","'=cmd","#));
    assert!(cells(&["--raw-cells"]).contains(r#","=cmd","#));
}
