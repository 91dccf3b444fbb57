//! What exports look like.

use time::macros::datetime;

use super::*;

fn export(format: ExportFormat) -> Export {
    Export::new(Timeline::new()).format(format).generated_at(datetime!(2026-01-01 0:00 UTC))
}

/// Runs an export whose cursor has these lines, two at a time.
fn run(export: Export, lines: &[&str]) -> (String, ExportSummary) {
    let mut exporting = Exporting::new(export);
    exporting.reading = exporting.reading.batch(2);
    let mut written = Vec::new();
    let mut left = lines.iter().map(|line| (*line).to_owned());
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
    let declare = |export: Export| export.declare(&Schema::default(), "c").unwrap().snapshot();
    insta::assert_snapshot!("csv", declare(export(ExportFormat::Csv)));
    insta::assert_snapshot!("csv_raw", declare(export(ExportFormat::Csv).raw_cells().all_rows()));
    insta::assert_snapshot!("ndjson", declare(export(ExportFormat::Ndjson).max_rows(5)));
}

#[test]
fn every_format_has_its_frame() {
    let lines = ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"];
    let (text, summary) = run(export(ExportFormat::Json), &lines);
    assert_eq!(
        text,
        "{\"format_version\":1,\"generated_at\":\"2026-01-01T00:00:00.000000Z\",\"changes\":[\n{\"a\":1},\n{\"a\":2},\n{\"a\":3}\n\
         ],\"returned_count\":3,\"max_rows\":10000,\"truncated\":false}\n"
    );
    assert_eq!((summary.returned_count, summary.truncated), (3, false));
    assert_eq!(run(export(ExportFormat::Ndjson), &lines).0, "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
    let (text, _) = run(export(ExportFormat::Csv), &["1,2", "3,4"]);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(lines[0].starts_with("id,transaction_id,table_schema,table_name,op,captured_at,table_pk,"));
    assert_eq!(lines[1..], ["1,2", "3,4", ""]);
}

#[test]
fn an_empty_export_has_a_frame_too() {
    assert_eq!(run(export(ExportFormat::Csv), &[]).0.matches("\r\n").count(), 1);
    assert_eq!(run(export(ExportFormat::Ndjson), &[]).0, "");
    let (text, _) = run(export(ExportFormat::Json).all_rows(), &[]);
    assert!(
        text.ends_with("\"changes\":[\n\n],\"returned_count\":0,\"max_rows\":null,\"truncated\":false}\n"),
        "{text}"
    );
}

#[test]
fn one_more_tells_that_there_are_more() {
    let lines = ["1", "2", "3", "4"];
    for (max_rows, written, truncated) in [(3, 3, true), (4, 4, false), (1, 1, true), (2, 2, true)] {
        // The cursor gives one more than max_rows, when there is one.
        let cursor = &lines[..lines.len().min(max_rows + 1)];
        let (text, summary) = run(export(ExportFormat::Ndjson).max_rows(max_rows as u64), cursor);
        assert_eq!((text.lines().count(), summary.truncated), (written, truncated), "{max_rows}");
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

#[cfg(feature = "gzip")]
#[test]
fn what_is_compressed_can_be_read_again() {
    use std::io::Read;

    let export = export(ExportFormat::Ndjson).gzip();
    assert_eq!(export.extension(), "ndjson.gz");
    let mut exporting = Exporting::new(export);
    let mut written = Vec::new();
    while let Some(statement) = exporting.next_statement(&Schema::default()).unwrap() {
        let rows = if statement.sql().starts_with("FETCH") { vec!["{}".to_owned()] } else { Vec::new() };
        written.extend(exporting.chunk(rows).unwrap());
    }
    written.extend(exporting.finish().unwrap().0);
    let mut text = String::new();
    flate2::read::GzDecoder::new(written.as_slice()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "{}\n");
}
