//! Column types with values that are easy to get wrong.

/// How two values of a type are compared, beyond their text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// By image.
    Image,
    /// By image, after both have lower bound 1: the one normalisation the trail makes.
    Array,
    /// By image; stored as the exact text in a JSON string.
    Json,
    /// By image; JSON null is stored wrapped.
    Jsonb,
    /// By text and by the image of these fields: the image of a whole composite depends on how it was built.
    Fields(&'static [&'static str]),
    /// By text: an array of composites.
    Text,
}

/// A column type.
#[derive(Debug)]
pub struct ColumnType {
    /// Its name.
    pub sql: &'static str,
    /// How its values are compared.
    pub compare: Compare,
    /// Texts of its values.
    pub values: &'static [&'static str],
    /// Expressions that make a value out of the column's own, `@c@`.
    pub turns: &'static [&'static str],
}

/// The types that every schema of a case brings along, for its columns to use.
pub const OWN_TYPES: &str = r#"
CREATE TYPE @s@."mo'od" AS ENUM ('sad', 'ok', 'very "happy"', 'ünï');
CREATE DOMAIN @s@."Key Number" AS integer CHECK (VALUE > -1000000);
CREATE DOMAIN @s@.label AS text;
CREATE DOMAIN @s@.ratio AS double precision;
CREATE DOMAIN @s@.payload AS jsonb;
CREATE DOMAIN @s@.document AS json;
CREATE DOMAIN @s@.ids AS integer[];
CREATE DOMAIN @s@.nested AS @s@."Key Number";
CREATE TYPE @s@.pair AS (a integer, "B b" text);
CREATE DOMAIN @s@.checked_pair AS @s@.pair;
"#;

/// The text column that every table has and that triggers write to.
pub const TEXT: &ColumnType = &ColumnType {
    sql: "text",
    compare: Compare::Image,
    values: &[
        "",
        " ",
        "it's",
        "\"quoted\"",
        "back\\slash",
        "tab\there",
        "two\nlines",
        "ünï ☃ 𝄞",
        "NULL",
        "null",
        "{\"json\": 1}",
        "$body$",
        "%s",
        "$1",
        "\u{7f}",
        "(a,b)",
        "0",
    ],
    turns: &[
        "left(@c@ || '+', 40)",
        "upper(@c@)",
        "@c@ || ''",
        // Too long for its page and hard to compress: stored out of line.
        "(SELECT string_agg(md5(coalesce(@c@, '') || g), '') FROM generate_series(1, 200) AS g)",
        "repeat('long ', 1000)",
    ],
};

/// All column types.
pub const TYPES: &[&ColumnType] = &[
    TEXT,
    &image("smallint", &["0", "1", "-32768", "32767"], &["@c@ # 1"]),
    &image("integer", &["0", "1", "-2147483648", "2147483647"], &["@c@ # 1"]),
    &image("bigint", &["0", "1", "-9223372036854775808", "9223372036854775807", "9007199254740993"], &["@c@ # 1"]),
    &image(
        "numeric",
        &[
            "0",
            "1",
            "1.0",
            "1.00",
            "-0.000",
            "NaN",
            "Infinity",
            "-Infinity",
            "1e-40",
            "1e300",
            "12345678901234567890.01234567890",
        ],
        &["@c@ * 1.00", "0 - @c@", "@c@ + 0"],
    ),
    &image("numeric(12,2)", &["0", "1.10", "NaN", "-9999999999.99"], &["0 - @c@"]),
    &image("real", &["0", "-0", "1.5", "0.1", "NaN", "Infinity", "-Infinity", "1.4e-45", "3.4028235e38"], &["0 - @c@"]),
    &image(
        "double precision",
        &["0", "-0", "0.1", "0.30000000000000004", "NaN", "Infinity", "-Infinity", "5e-324", "1.7976931348623157e308"],
        &["0 - @c@"],
    ),
    &image("varchar(20)", &["", "short", "ünï", "  spaces  "], &["left(@c@ || '.', 20)"]),
    &image("char(5)", &["", "ab", "abcde", "ü"], &["upper(@c@)"]),
    &image("name", &["", "a name"], &[]),
    &image("\"char\"", &["", "a", "'"], &[]),
    &image("boolean", &["true", "false"], &["NOT @c@"]),
    &image("date", &["2024-02-29", "infinity", "-infinity", "0044-03-15 BC", "9999-12-31"], &["@c@ + 1"]),
    &image("time", &["00:00:00", "24:00:00", "23:59:59.999999"], &[]),
    &image("timetz", &["12:00:00+02", "00:00:00.5-12:30"], &[]),
    &image(
        "timestamp",
        &["2024-03-31 02:30:00.123456", "infinity", "0001-01-01 00:00:00 BC"],
        &["@c@ + '1 us'::interval"],
    ),
    &image(
        "timestamptz",
        &[
            "2024-03-31 02:30:00.123456+00",
            "2024-10-27 02:30:00+02",
            "infinity",
            "-infinity",
            "1800-01-01 00:00:00+00",
            "0044-03-15 12:00:00+00 BC",
        ],
        &["@c@ + '1 day'::interval"],
    ),
    &image(
        "interval",
        &["1 day", "24:00:00", "1 mon", "30 days", "00:00:00", "-00:00:00.000001", "1 year -2 days +03:04:05"],
        &["justify_hours(@c@)", "-@c@"],
    ),
    &image("int4range", &["empty", "[1,5)", "(,)", "[3,)"], &[]),
    &image("numrange", &["empty", "[1.0,2.0)", "[1.00,2.00)", "(,1]"], &[]),
    &image("daterange", &["empty", "[2024-01-01,2024-02-01)", "[-infinity,2024-01-01)"], &[]),
    &image("tsrange", &["empty", "[\"2024-01-01 00:00:00\",\"2024-02-01 00:00:00.5\"]"], &[]),
    &image("tstzrange", &["empty", "(,)", "[\"2024-01-01 00:00:00+00\",\"2024-02-01 00:00:00+05\")"], &[]),
    &image("int8multirange", &["{}", "{[1,3),[7,9)}"], &[]),
    &image("tstzmultirange", &["{}", "{[\"2024-01-01 00:00:00+00\",\"2024-02-01 00:00:00+05\")}"], &[]),
    &array(
        "integer[]",
        &["{}", "{1,2,NULL}", "[0:1]={5,6}", "{{1,2},{3,4}}", "[2:2][3:4]={{7,8}}"],
        &["@c@[:]", "@c@ || '{}'::integer[]"],
    ),
    &array("text[]", &["{}", "{\"a b\",\"c\\\"d\",NULL,\"NULL\",\"\"}", "{\"back\\\\slash\"}"], &[]),
    &array("numeric[]", &["{1.0,1.00,NaN}", "{1.00,1.0,NaN}", "{}"], &[]),
    &array("real[]", &["{-0,0,NaN,Infinity}", "{0,0,NaN,Infinity}", "{NULL}"], &[]),
    &array("double precision[]", &["{-0}", "{0}", "{{-0,1},{NaN,2}}", "{0.1}", "[3:3]={-0}"], &[]),
    &array("timestamptz[]", &["{\"2024-03-31 02:30:00.123456+00\",infinity}", "{}"], &[]),
    &array("interval[]", &["{\"1 day\",24:00:00}", "{24:00:00,\"1 day\"}"], &[]),
    &array("bytea[]", &["{\"\\\\x00ff\",NULL}", "{}"], &[]),
    &array("daterange[]", &["{empty,\"[2024-01-01,2024-02-01)\"}"], &[]),
    &array("jsonb[]", &["{\"null\",NULL,\"{\\\"a\\\": 1.00}\"}", "{}"], &[]),
    &array("json[]", &["{\"null\",NULL,\"{ \\\"a\\\" : 1, \\\"a\\\": 2}\"}", "{}"], &[]),
    &array("@s@.\"mo'od\"[]", &["{ok,NULL,\"very \\\"happy\\\"\"}", "{}", "[0:0]={sad}"], &[]),
    &array("@s@.ids", &["{}", "{1,NULL}", "[5:6]={1,2}"], &[]),
    &ColumnType {
        sql: "jsonb",
        compare: Compare::Jsonb,
        values: &[
            "null",
            "{}",
            "[]",
            "true",
            "1.0",
            "1.00",
            "12345678901234567890.10",
            "\"text\"",
            "\"threadline.json\"",
            "[\"threadline.json\"]",
            "{\"threadline.json\": null}",
            "{\"threadline.json\": {\"threadline.json\": 1}}",
            "{\"a\": {\"b\": [1, null, \"x\"]}}",
            "[null]",
        ],
        turns: &["jsonb_build_array(@c@)"],
    },
    &ColumnType {
        sql: "json",
        compare: Compare::Json,
        values: &[
            "null",
            "{}",
            " { \"a\" : 1, \"a\" : 2 } ",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "1e999999",
            "1.0",
            "1.00",
            "[1,\n2]",
            "\"text\"",
        ],
        turns: &["json_build_array(@c@)"],
    },
    &ColumnType {
        sql: "@s@.payload",
        compare: Compare::Jsonb,
        values: &["null", "{\"a\": null}", "\"threadline.json\"", "1.00"],
        turns: &[],
    },
    &ColumnType {
        sql: "@s@.document",
        compare: Compare::Json,
        values: &["null", "{\"a\":1,\"a\":2}", "\"\\u0000\""],
        turns: &[],
    },
    &ColumnType {
        sql: "@s@.pair",
        compare: Compare::Fields(&["a", "B b"]),
        values: &["(,)", "(1,)", "(,\"\")", "(2,\"it's \"\"quoted\"\", \\\\ and\n more\")"],
        turns: &[],
    },
    &ColumnType {
        sql: "@s@.checked_pair",
        compare: Compare::Fields(&["a", "B b"]),
        values: &["(,)", "(1,x)", "(7,\"a,b\")"],
        turns: &[],
    },
    &ColumnType { sql: "@s@.pair[]", compare: Compare::Text, values: &["{}", "{\"(1,x)\",\"(,)\",NULL}"], turns: &[] },
    &image("@s@.\"mo'od\"", &["sad", "ok", "very \"happy\"", "ünï"], &[]),
    &image("@s@.\"Key Number\"", &["0", "-1", "2147483647"], &[]),
    &image("@s@.nested", &["0", "-1", "2147483647"], &[]),
    &image("@s@.label", &["", "null", "it's"], &[]),
    &image("@s@.ratio", &["0", "-0", "NaN", "0.1"], &["0 - @c@"]),
    &image("bytea", &["\\x", "\\x00ff", "\\xdeadbeef"], &["@c@ || decode('00', 'hex')"]),
    &image("uuid", &["00000000-0000-0000-0000-000000000000", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"], &[]),
    &image("inet", &["10.0.0.1", "10.0.0.1/8", "::1", "2001:db8::/32"], &[]),
    &image("cidr", &["10.0.0.0/8", "::1/128"], &[]),
    &image("macaddr", &["08:00:2b:01:02:03"], &[]),
    &image("bit(4)", &["1010", "0000"], &[]),
    &image("varbit", &["", "1", "0101"], &[]),
    &image("money", &["1.00", "-3.50"], &[]),
    &image("point", &["(1,2)", "(-0,0)", "(NaN,Infinity)", "(0.1,0.30000000000000004)"], &[]),
    &image("box", &["((1,1),(0,0))", "((2,0.5),(0,0))"], &[]),
    &image("circle", &["<(0,0),1>", "<(0,-0),1>"], &[]),
    &image("path", &["((0,0),(1,1))", "[(0,0),(1,1)]"], &[]),
    &image("tsvector", &["'a':1 'b':2A", ""], &[]),
    &image("tsquery", &["'a' & !'b'", ""], &[]),
    &image("oid", &["0", "4294967295"], &[]),
    &image("regclass", &["pg_catalog.pg_class", "-"], &[]),
    &image("regtype", &["integer", "pg_catalog.int4[]"], &[]),
    &image("pg_lsn", &["0/16B3748"], &[]),
    &image("xid8", &["0", "18446744073709551615"], &[]),
    &image("tid", &["(0,1)", "(4294967295,65535)"], &[]),
    &image("int2vector", &["1 2 3", ""], &[]),
];

const fn image(sql: &'static str, values: &'static [&'static str], turns: &'static [&'static str]) -> ColumnType {
    ColumnType { sql, compare: Compare::Image, values, turns }
}

const fn array(sql: &'static str, values: &'static [&'static str], turns: &'static [&'static str]) -> ColumnType {
    ColumnType { sql, compare: Compare::Array, values, turns }
}
