//! Instants as the trail writes them: RFC 3339 in UTC, to the microsecond.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use crate::Error;

/// PostgreSQL keeps microseconds.
const NANOSECONDS: u32 = 1_000;

/// The last representable instant at or before `at`; `setting` names the value in the error.
pub(crate) fn floor(at: OffsetDateTime, setting: &str) -> Result<String, Error> {
    let utc = in_utc(at, setting)?;
    Ok(text(utc, utc.microsecond()))
}

/// The first representable instant at or after `at`.
pub(crate) fn ceil(at: OffsetDateTime, setting: &str) -> Result<String, Error> {
    let beyond = at.nanosecond() % NANOSECONDS;
    if beyond == 0 {
        return floor(at, setting);
    }
    match at.checked_add(time::Duration::nanoseconds(i64::from(NANOSECONDS - beyond))) {
        Some(next) => floor(next, setting),
        None => Err(out_of_range(setting)),
    }
}

/// The instant to the nanosecond, where somebody will read it again.
pub(crate) fn exact(at: OffsetDateTime, setting: &str) -> Result<String, Error> {
    in_utc(at, setting)?.format(&Rfc3339).map_err(|error| out_of_range(setting).with_source(error))
}

fn in_utc(at: OffsetDateTime, setting: &str) -> Result<OffsetDateTime, Error> {
    match at.checked_to_offset(UtcOffset::UTC) {
        // RFC 3339 has four digits for the year, and PostgreSQL has no year zero.
        Some(utc) if (1..=9999).contains(&utc.year()) => Ok(utc),
        Some(_) | None => Err(out_of_range(setting)),
    }
}

fn out_of_range(setting: &str) -> Error {
    Error::invalid_input(setting, "is not within the years 1 to 9999", "Give an instant that the trail can hold")
}

fn text(utc: OffsetDateTime, microsecond: u32) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{microsecond:06}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
    )
}

/// For `#[serde(with = "instant")]`.
pub(crate) fn serialize<S: Serializer>(at: &OffsetDateTime, serializer: S) -> Result<S::Ok, S::Error> {
    floor(*at, "instant").map_err(serde::ser::Error::custom)?.serialize(serializer)
}

/// For `#[serde(with = "instant")]`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
    let text = String::deserialize(deserializer)?;
    OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn instants_are_written_in_utc_with_six_digits() {
        assert_eq!(floor(datetime!(2026-02-03 04:05:06 +02:00), "at").unwrap(), "2026-02-03T02:05:06.000000Z");
    }

    #[test]
    fn between_two_microseconds_both_neighbours_are_found() {
        let at = datetime!(2026-12-31 23:59:59.999_999_001 UTC);
        assert_eq!(floor(at, "at").unwrap(), "2026-12-31T23:59:59.999999Z");
        assert_eq!(ceil(at, "at").unwrap(), "2027-01-01T00:00:00.000000Z");
        let exact = datetime!(2026-12-31 23:59:59.999_999 UTC);
        assert_eq!(ceil(exact, "at").unwrap(), floor(exact, "at").unwrap());
    }

    #[test]
    fn years_that_cannot_be_written_are_refused() {
        for at in [datetime!(-0001-01-01 0:00 UTC), datetime!(0000-12-31 23:59 UTC), datetime!(0001-01-01 0:00 +01:00)]
        {
            let error = floor(at, "since").unwrap_err();
            assert!(error.is_invalid_input());
            assert_eq!(error.setting(), Some("since"));
        }
        assert!(ceil(datetime!(9999-12-31 23:59:59.999_999_999 UTC), "until").is_err());
    }

    proptest! {
        #[test]
        fn every_microsecond_reads_back(seconds in -62_135_596_800_i64..253_402_300_800, micros in 0_i64..1_000_000) {
            let at = OffsetDateTime::from_unix_timestamp(seconds)? + time::Duration::microseconds(micros);
            let written = floor(at, "at")?;
            prop_assert_eq!(OffsetDateTime::parse(&written, &Rfc3339)?, at);
        }
    }
}
