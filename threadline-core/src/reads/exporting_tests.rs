//! What exports look like.

use time::macros::datetime;

use super::*;
use crate::{ExportFormat, Timeline};

fn export(format: ExportFormat) -> Export {
    Export::new(Timeline::new()).format(format).generated_at(datetime!(2026-01-01 0:00 UTC))
}

/// A row as the cursor gives it, of a change that has an id and nothing else.
fn row(id: u64) -> String {
    format!("{id}{}", "\u{1f}".repeat(37))
}

/// Runs an export whose cursor has so many rows, two at a time.
fn run(export: Export, rows: u64) -> (String, ExportSummary) {
    let mut exporting = Exporting::new(export);
    exporting.reading = exporting.reading.batch(2);
    let mut written = Vec::new();
    let mut left = (1..=rows).map(row);
    while let Some(statement) = exporting.next_statement(&Schema::default()).unwrap() {
        let rows = if statement.sql().starts_with("FETCH") { left.by_ref().take(2).collect() } else { Vec::new() };
        written.extend(exporting.chunk(rows).unwrap());
    }
    let (end, summary) = exporting.finish().unwrap();
    written.extend(end);
    (String::from_utf8(written).unwrap(), summary)
}

#[test]
fn statements() {
    let declare = |export: Export| Rows(export).declare(&Schema::default(), "c").unwrap().snapshot();
    insta::assert_snapshot!("declare", declare(export(ExportFormat::Csv)));
    insta::assert_snapshot!("declare_all", declare(export(ExportFormat::Ndjson).all_rows()));
}

const NULLS: &str = concat!(
    r#""transaction_id":null,"table_schema":null,"table_name":null,"op":null,"captured_at":null,"table_pk":null,"#,
    r#""previous_pk":null,"data_after":null,"changed_fields":null,"changed_from":null,"withheld":null,"#,
    r#""transaction":null,"action":null}"#
);

#[test]
fn every_format_has_its_frame() {
    let (text, summary) = run(export(ExportFormat::Json), 3);
    let [one, two, three] = [1, 2, 3].map(|id| format!("{{\"id\":{id},{NULLS}"));
    assert_eq!(
        text,
        format!(
            "{{\"format_version\":1,\"generated_at\":\"2026-01-01T00:00:00.000000Z\",\"changes\":[\n{one},\n{two},\n{three}\n\
             ],\"returned_count\":3,\"max_rows\":10000,\"truncated\":false}}\n"
        )
    );
    assert_eq!((summary.returned_count, summary.truncated), (3, false));
    assert_eq!(run(export(ExportFormat::Ndjson), 3).0, format!("{one}\n{two}\n{three}\n"));
    let (text, _) = run(export(ExportFormat::Csv), 2);
    let lines: Vec<&str> = text.split("\r\n").collect();
    insta::assert_snapshot!("header", lines[0]);
    assert_eq!(lines[1..], ["\"1\",,,,,,,,,,,,,,,", "\"2\",,,,,,,,,,,,,,,", ""]);
}

#[test]
fn an_empty_export_has_a_frame_too() {
    assert_eq!(run(export(ExportFormat::Csv), 0).0.matches("\r\n").count(), 1);
    assert_eq!(run(export(ExportFormat::Ndjson), 0).0, "");
    let (text, _) = run(export(ExportFormat::Json).all_rows(), 0);
    assert!(
        text.ends_with("\"changes\":[\n\n],\"returned_count\":0,\"max_rows\":null,\"truncated\":false}\n"),
        "{text}"
    );
}

#[test]
fn one_more_tells_that_there_are_more() {
    for (max_rows, written, truncated) in [(3, 3, true), (4, 4, false), (1, 1, true), (2, 2, true)] {
        // The cursor gives one more than max_rows, when there is one.
        let (text, summary) = run(export(ExportFormat::Ndjson).max_rows(max_rows), 4.min(max_rows + 1));
        assert_eq!((text.lines().count(), summary.truncated), (written, truncated), "{max_rows}");
    }
}

/// A row with everything in it, and what it becomes.
#[test]
fn every_field_has_its_place() {
    let text = |text: &str| serde_json::to_string(text).unwrap();
    let change = |id: u64, table: &str| {
        let (schema, table) = (text("public"), text(table));
        format!(
            "{id}\u{1f}5\u{1f}{schema}\u{1f}{table}\u{1f}update\u{1f}\"2026-01-02T03:04:05.6\"\u{1f}{{\"id\": 7}}\u{1f}\
             {{\"id\": 6}}\u{1f}{{\"v\": \"a \\\"b\\\",\\r\\n\"}}\u{1f}[\"v\"]\u{1f}{{\"v\": 0.10}}\u{1f}\"image\""
        )
    };
    let transaction = "5\u{1f}42\u{1f}\"2026-01-02T03:04:05\"\u{1f}{\"id\": \"7\", \"type\": \"user\"}\u{1f}9\u{1f}\"-corr\"\u{1f}\"\"\u{1f}\u{1f}\
                       \"http\"\u{1f}\"192.0.2.1\"\u{1f}{\"tenant\": \"acme\"}\u{1f}\"app\"\u{1f}\"none\"\u{1f}\"\"";
    let action = "9\u{1f}\"post.published\"\u{1f}{\"type\": \"system\"}\u{1f}ok\u{1f}\u{1f}\u{1f}\"a\\nb \\\"c\\\"\"\u{1f}\u{1f}\u{1f}\u{1f}\u{1f}\
                  \"2026-01-02T03:04:05.000001\"";
    let none = "\u{1f}".repeat(11);
    let rows = [
        format!("{}\u{1f}{transaction}\u{1f}{action}", change(2, "=cmd|x")),
        format!("{}\u{1f}{transaction}\u{1f}{none}", change(1, "")),
        format!("{}\u{1f}", change(0, "the same")),
    ];
    for (name, export) in [
        ("rows_csv", export(ExportFormat::Csv)),
        ("rows_csv_raw", export(ExportFormat::Csv).raw_cells()),
        ("rows_ndjson", export(ExportFormat::Ndjson)),
    ] {
        let mut exporting = Exporting::new(export);
        while !exporting.next_statement(&Schema::default()).unwrap().unwrap().sql().starts_with("FETCH") {
            exporting.chunk(Vec::new()).unwrap();
        }
        let written = String::from_utf8(exporting.chunk(rows.to_vec()).unwrap()).unwrap();
        let lines = written.lines().skip(usize::from(name.contains("csv"))).collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(name, lines);
        let mut afresh = Exporting::new(Export::new(Timeline::new()));
        assert!(afresh.chunk(vec![rows[2].clone()]).unwrap_err().is_unreadable(), "the same as what?");
        let unreadable = exporting.chunk(vec!["1\u{1f}2".to_owned()]).unwrap_err();
        assert!(unreadable.is_unreadable() && !unreadable.to_string().contains('2'));
    }
}

#[test]
fn what_cannot_be_exported_is_refused() {
    for (export, setting) in [
        (export(ExportFormat::Csv).max_rows(0), "max_rows"),
        (export(ExportFormat::Csv).max_rows(u64::MAX), "max_rows"),
        (Export::new(Timeline::new().limit(5)), "limit"),
        (Export::new(Timeline::new().op(crate::ChangeOp::Insert)), "op"),
    ] {
        let error = Exporting::new(export).next_statement(&Schema::default()).unwrap_err();
        assert_eq!(error.setting(), Some(setting));
    }
    assert!("xml".parse::<ExportFormat>().unwrap_err().is_invalid_input());
}

#[cfg(all(feature = "gzip", feature = "zstd"))]
#[test]
fn what_is_compressed_can_be_read_again() {
    use std::io::Read;

    let mut written = [Vec::new(), Vec::new(), Vec::new()];
    let many = || (1..=2_000).map(row).collect::<Vec<_>>();
    let export = || export(ExportFormat::Ndjson);
    for (export, written) in [export(), export().gzip(), export().zstd()].into_iter().zip(&mut written) {
        let mut exporting = Exporting::new(export);
        let mut batches = [many(), Vec::new()].into_iter();
        while let Some(statement) = exporting.next_statement(&Schema::default()).unwrap() {
            let is_fetch = statement.sql().starts_with("FETCH");
            let rows = if is_fetch { batches.next().unwrap_or_default() } else { Vec::new() };
            written.extend(exporting.chunk(rows).unwrap());
        }
        written.extend(exporting.finish().unwrap().0);
    }
    let [plain, gzip, zstd] = written;
    assert_eq!(plain.iter().filter(|byte| **byte == b'\n').count(), 2_000);
    assert!(gzip.len() < plain.len() / 5 && zstd.len() < plain.len() / 5, "{} {}", gzip.len(), zstd.len());
    let mut read = Vec::new();
    flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut read).unwrap();
    assert!(read == plain);
    read.clear();
    ruzstd::decoding::StreamingDecoder::new(&*zstd).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == plain);
    assert_eq!((export().gzip().extension(), export().zstd().extension()), ("ndjson.gz".into(), "ndjson.zst".into()));
}
