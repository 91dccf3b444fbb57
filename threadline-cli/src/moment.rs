//! Instants as people write them.

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use time::OffsetDateTime;

/// Forms to name in help and messages.
pub(crate) const FORMS: &str = "2026-11-23T15:04:05Z, \"2026-11-23 15:04:05+01:00\", \"10m ago\" or now";

/// Reads an instant: with its offset from UTC, or so long ago.
pub(crate) fn parse(text: &str) -> Result<OffsetDateTime, String> {
    parse_at(text, Timestamp::now())
}

fn parse_at(text: &str, now: Timestamp) -> Result<OffsetDateTime, String> {
    let text = text.trim();
    let found = if text.eq_ignore_ascii_case("now") {
        Some(now)
    } else {
        text.parse::<Timestamp>().ok().or_else(|| ago(text, now))
    };
    match found {
        Some(found) => OffsetDateTime::from_unix_timestamp_nanos(found.as_nanosecond())
            .map_err(|_| "it is out of range".to_owned()),
        None if text.parse::<jiff::civil::DateTime>().is_ok() => {
            Err("it has no offset from UTC; end it with Z or an offset such as +01:00".to_owned())
        }
        None => Err(format!("write {FORMS}")),
    }
}

/// `10m ago`, and `10m` alone: what comes later has not been recorded yet.
fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let span: Span = text.parse().ok()?;
    now.to_zoned(TimeZone::UTC).checked_sub(span.abs()).ok().map(|then| then.timestamp())
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn parsed(text: &str) -> Result<OffsetDateTime, String> {
        parse_at(text, "2026-11-23T15:04:05Z".parse().unwrap())
    }

    #[test]
    fn instants_with_an_offset_are_read() {
        for (text, at) in [
            ("2026-11-23T15:04:05Z", datetime!(2026-11-23 15:04:05 UTC)),
            ("2026-11-23 15:04:05Z", datetime!(2026-11-23 15:04:05 UTC)),
            ("2026-11-23 15:04:05.000007+02", datetime!(2026-11-23 13:04:05.000_007 UTC)),
            ("2026-11-23t15:04:05-00:30", datetime!(2026-11-23 15:34:05 UTC)),
        ] {
            assert_eq!(parsed(text).unwrap(), at, "{text}");
        }
    }

    #[test]
    fn spans_count_back_from_now() {
        for (text, at) in [
            ("now", datetime!(2026-11-23 15:04:05 UTC)),
            ("10m ago", datetime!(2026-11-23 14:54:05 UTC)),
            ("10m", datetime!(2026-11-23 14:54:05 UTC)),
            ("2 hours ago", datetime!(2026-11-23 13:04:05 UTC)),
            ("1d 12h ago", datetime!(2026-11-22 03:04:05 UTC)),
            ("1 month ago", datetime!(2026-10-23 15:04:05 UTC)),
        ] {
            assert_eq!(parsed(text).unwrap(), at, "{text}");
        }
    }

    #[test]
    fn an_instant_without_an_offset_is_not_guessed() {
        for text in ["2026-11-23 15:04:05", "2026-11-23"] {
            assert!(parsed(text).unwrap_err().contains("offset"), "{text}");
        }
        for text in ["", "yesterday", "15:04", "10 parsecs ago", "900000 years ago"] {
            assert!(parsed(text).unwrap_err().contains("write"), "{text}");
        }
    }
}
