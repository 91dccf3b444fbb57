//! Session settings that change how values look, how plans are made, and what names mean.

use fastrand::Rng;

use super::sql::SCHEMA;

const SETTINGS: &[(&str, &[&str])] = &[
    ("TimeZone", &["'UTC'", "'America/New_York'", "'Asia/Kathmandu'", "'-03:30'"]),
    ("DateStyle", &["'ISO, MDY'", "'SQL, DMY'", "'German'", "'Postgres, MDY'"]),
    ("IntervalStyle", &["'postgres'", "'postgres_verbose'", "'iso_8601'"]),
    ("bytea_output", &["'hex'", "'escape'"]),
    ("extra_float_digits", &["1", "0", "-5", "3"]),
    ("search_path", &["''", "pg_catalog", "'@s@'", "'@s@', pg_catalog", "pg_temp, '@s@'"]),
    ("quote_all_identifiers", &["on", "off"]),
    ("standard_conforming_strings", &["on", "on", "off"]),
    ("escape_string_warning", &["off"]),
    ("transform_null_equals", &["on", "off"]),
    ("array_nulls", &["on"]),
    ("work_mem", &["'64kB'", "'4MB'"]),
    ("plan_cache_mode", &["auto", "force_generic_plan", "force_custom_plan"]),
    ("enable_hashjoin", &["on", "off"]),
    ("enable_mergejoin", &["on", "off"]),
    ("enable_sort", &["on", "off"]),
    ("jit", &["on", "off"]),
    ("jit_above_cost", &["100000"]),
    ("plpgsql.variable_conflict", &["error", "use_column", "use_variable"]),
    ("check_function_bodies", &["on", "off"]),
];

/// A statement that changes one setting: for the session, or for the rest of the transaction.
pub fn random_setting(local: bool, rng: &mut Rng) -> String {
    let (name, values) = SETTINGS[rng.usize(..SETTINGS.len())];
    let value = values[rng.usize(..values.len())];
    let scope = if local { "LOCAL" } else { "SESSION" };
    // The schema's name is quoted for SQL; a setting takes the bare identifier.
    let value = value.replace("'@s@'", SCHEMA);
    format!("SET {scope} {name} TO {value}")
}
