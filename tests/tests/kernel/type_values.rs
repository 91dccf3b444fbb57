//! Values at the edges of every type, as literals.

/// A column: its name, its type, and literals of that type; `SQL:` begins an expression.
pub(crate) type Column = (&'static str, &'static str, &'static [&'static str]);

/// Every built-in type that a column can have. Written under default settings.
pub(crate) const BUILT_IN: &[Column] = &[
    ("bool_", "bool", &["t", "f"]),
    ("int2_", "int2", &["0", "-32768", "32767"]),
    ("int4_", "int4", &["0", "-2147483648", "2147483647"]),
    ("int8_", "int8", &["0", "-9223372036854775808", "9223372036854775807"]),
    (
        "numeric_",
        "numeric",
        &[
            "0",
            "0.00",
            "1.0",
            "1.00",
            "-1.000",
            "1e-20",
            "1e-16383",
            "1e1000",
            "NaN",
            "Infinity",
            "-Infinity",
            "123456789012345678901234567890.1234567890123456789",
        ],
    ),
    ("numeric_10_3", "numeric(10,3)", &["0", "1.5", "-9999999.999", "NaN"]),
    ("float4_", "float4", &["0", "-0", "NaN", "Infinity", "-Infinity", "1e-45", "3.4028235e38", "1.1", "16777217"]),
    (
        "float8_",
        "float8",
        &[
            "0",
            "-0",
            "NaN",
            "Infinity",
            "-Infinity",
            "5e-324",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
            "1e16",
            "2.2250738585072014e-308",
        ],
    ),
    ("money_", "money", &["0", "-1.50", "1000", "92233720368547758.07", "-92233720368547758.08"]),
    (
        "text_",
        "text",
        &[
            "",
            "null",
            "NULL",
            " ",
            "é☃💩",
            "SQL:E'\\n\\t\\x01\\x7f\\b\\r'",
            "\"quoted\" \\ \\u0000 /",
            "1",
            "1.0",
            "true",
            "{}",
            "[1]",
            "-0",
            "NaN",
            "SQL:repeat('long', 100000)",
        ],
    ),
    ("varchar_", "varchar(20)", &["", "é", "trailing  "]),
    ("bpchar_5", "char(5)", &["", "ab", "é", "abcde"]),
    ("bpchar_", "bpchar", &["ab  ", ""]),
    ("name_", "name", &["", "x", "sixty-three bytes long, which is as long as a name can ever be."]),
    ("char_", "\"char\"", &["a", "", "\"", "\\"]),
    ("bytea_", "bytea", &["", "\\x00ff", "\\xdeadbeef5c27", "plain"]),
    (
        "date_",
        "date",
        &["infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "5874897-12-31", "2024-02-29", "0001-01-01"],
    ),
    ("time_", "time", &["00:00", "24:00", "23:59:59.999999", "12:34:56.7"]),
    ("time_3", "time(3)", &["23:59:59.999"]),
    ("timetz_", "timetz", &["12:34:56.789+05:30", "24:00-15:59", "00:00+00", "10:00+15:59:59"]),
    (
        "timestamp_",
        "timestamp",
        &[
            "infinity",
            "-infinity",
            "294276-12-31 23:59:59.999999",
            "4713-01-01 00:00:00 BC",
            "2024-03-10 02:30:00",
            "2024-01-01 00:00:00.000001",
        ],
    ),
    (
        "timestamptz_",
        "timestamptz",
        &[
            "infinity",
            "-infinity",
            "294276-12-31 23:59:59.999999+00",
            "4713-01-02 00:00:00+00 BC",
            "2024-11-03 01:30:00-04",
            "1883-11-18 12:03:58-04:56:02",
            "0001-01-01 00:00:00+00",
        ],
    ),
    (
        "interval_",
        "interval",
        &[
            "0",
            "1 day",
            "24:00",
            "30 days",
            "1 mon",
            "-1 year 2 mons -3 days 04:05:06.789",
            "178000000 years",
            "-178000000 years",
            "-00:00:00.000001",
            "1 day -1 second",
        ],
    ),
    ("uuid_", "uuid", &["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"]),
    ("inet_", "inet", &["192.168.1.5/24", "::ffff:1.2.3.4", "::1", "0.0.0.0/0"]),
    ("cidr_", "cidr", &["192.168.1.0/24", "2001:db8::/32"]),
    ("macaddr_", "macaddr", &["08:00:2b:01:02:03"]),
    ("macaddr8_", "macaddr8", &["08:00:2b:01:02:03:04:05"]),
    ("bit_", "bit", &["0", "1"]),
    ("bit_5", "bit(5)", &["10101", "00000"]),
    ("varbit_", "varbit", &["", "1", "101010101010101010101010101010101"]),
    ("point_", "point", &["(0,0)", "(-0,1e-300)", "(NaN,Infinity)", "(0.1,-0.30000000000000004)"]),
    ("line_", "line", &["{1,-1,0}", "{0.1,1e-10,-3}"]),
    ("lseg_", "lseg", &["[(0,0),(0.1,1)]"]),
    ("box_", "box", &["(2,2),(0.1,0.2)"]),
    ("path_", "path", &["[(0,0),(1,1.1)]", "((0,0),(1,1.1),(2,0))"]),
    ("polygon_", "polygon", &["((0,0),(1,1.1),(2,0))"]),
    ("circle_", "circle", &["<(0.1,0),2.2>", "<(0,0),0>"]),
    (
        "jsonb_",
        "jsonb",
        &[
            "null",
            "\"str\"",
            "\"\"",
            "{}",
            "[]",
            "true",
            "1.00",
            "1e-7",
            "1e400",
            "{\"a\": {\"b\": [null, 1, {\"c\": \"\\u2603\"}]}}",
            "[null]",
            "{\"threadline.json\": 1}",
            "{\"threadline.json\": null}",
            "{\"threadline.json\": {\"threadline.json\": 1}, \"x\": 2}",
            "{\"a\": {\"threadline.json\": 1}}",
        ],
    ),
    (
        "json_",
        "json",
        &[
            "null",
            "\"str\"",
            " { \"spaces\" : 1 } ",
            "{\"a\": 1, \"a\": 2}",
            "\"\\u0000\"",
            "\"\\ud800\"",
            "1e999999999",
            "-0",
            "123456789012345678901234567890.00",
            "[]",
            "{\"threadline.json\": 1}",
        ],
    ),
    ("jsonpath_", "jsonpath", &["$.\"a\"[*] ? (@ > 1)", "strict $"]),
    ("xml_", "xml", &["<a/>", "<?xml version=\"1.1\"?><a>é &lt;</a>", "some text", "", "<a/><b/>"]),
    ("tsvector_", "tsvector", &["", "'a':1A,2B 'b c':3", "'it''s' '\\\\'"]),
    ("tsquery_", "tsquery", &["", "'a' & !'b' <-> 'c':AB*"]),
    ("pg_lsn_", "pg_lsn", &["0/0", "FFFFFFFF/FFFFFFFF"]),
    ("txid_snapshot_", "txid_snapshot", &["10:20:10,14,15", "1:1:"]),
    ("pg_snapshot_", "pg_snapshot", &["10:20:10,14,15", "1:1:"]),
    ("xid_", "xid", &["0", "4294967295"]),
    ("xid8_", "xid8", &["0", "18446744073709551615"]),
    ("cid_", "cid", &["0", "4294967295"]),
    ("tid_", "tid", &["(0,1)", "(4294967295,65535)"]),
    ("oid_", "oid", &["0", "4294967295"]),
    (
        "regclass_",
        "regclass",
        &["-", "pg_class", "public.\"Odd \"\"table\"\"\"", "first.ambiguous", "second.ambiguous", "4294967295"],
    ),
    ("regtype_", "regtype", &["-", "int4", "timestamptz", "first.ambiguous", "int4[]"]),
    ("regproc_", "regproc", &["-", "pg_backend_pid"]),
    ("regprocedure_", "regprocedure", &["-", "to_jsonb(anyelement)", "first.twice(int)"]),
    ("regoper_", "regoper", &["0", "pg_catalog.*<>"]),
    ("regoperator_", "regoperator", &["0", "+(integer,integer)"]),
    ("regrole_", "regrole", &["-", "threadline_owner"]),
    ("regnamespace_", "regnamespace", &["-", "pg_catalog", "first"]),
    ("regconfig_", "regconfig", &["-", "english"]),
    ("regdictionary_", "regdictionary", &["-", "simple"]),
    ("regcollation_", "regcollation", &["-", "\"C\""]),
    ("aclitem_", "aclitem", &["=r/threadline_owner", "threadline_owner=arwdDxt/threadline_owner"]),
    ("int2vector_", "int2vector", &["", "1 2 3"]),
    ("oidvector_", "oidvector", &["", "1 4294967295"]),
    ("refcursor_", "refcursor", &["", "c 1"]),
    ("int4range_", "int4range", &["empty", "(,)", "[1,5)", "(,5)", "[1,)"]),
    ("int8range_", "int8range", &["empty", "[1,9223372036854775807)"]),
    ("numrange_", "numrange", &["empty", "[1.0,1.00]", "(-Infinity,NaN]", "(,1e-20)"]),
    (
        "daterange_",
        "daterange",
        &["empty", "[-infinity,2024-01-01)", "[2024-01-31,2024-02-01)", "(,\"0044-03-15 BC\")"],
    ),
    ("tsrange_", "tsrange", &["empty", "[\"2024-01-31 10:00:00.000001\",infinity]", "(,)"]),
    (
        "tstzrange_",
        "tstzrange",
        &["empty", "[\"2024-03-10 01:00+00\",infinity)", "(,\"2024-01-31 23:59:59.999999+00\"]"],
    ),
    ("int4multirange_", "int4multirange", &["{}", "{[1,3),[5,)}"]),
    ("int8multirange_", "int8multirange", &["{}", "{(,1),[5,6)}"]),
    ("nummultirange_", "nummultirange", &["{}", "{[1.0,1.00],(2,NaN)}"]),
    ("datemultirange_", "datemultirange", &["{}", "{[2024-01-31,2024-02-01),[2025-01-01,)}"]),
    ("tsmultirange_", "tsmultirange", &["{}", "{[\"2024-01-31 10:00\",\"2024-02-01 10:00\")}"]),
    ("tstzmultirange_", "tstzmultirange", &["{}", "{[\"2024-01-31 10:00+05:30\",\"2024-02-01 10:00-08\")}"]),
];

/// What [`BUILT_IN`] and [`USER_MADE`] refer to.
pub(crate) const OBJECTS: &str = r#"
    CREATE TABLE "Odd ""table""" (); CREATE SCHEMA first; CREATE SCHEMA second;
    CREATE TABLE first.ambiguous (); CREATE TABLE second.ambiguous ();
    CREATE FUNCTION first.twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
    CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"', '', 'null', '-0');
    CREATE TYPE mood_range AS RANGE (subtype = mood, multirange_type_name = mood_ranges);
    CREATE TYPE pair AS (a int, b text);
    CREATE TYPE deep AS (p pair, ps pair[], m mood, z timestamptz, y bytea, f float8, i interval, k regclass, j json, n numeric);
    CREATE DOMAIN d_int AS int CHECK (VALUE IS DISTINCT FROM 13);
    CREATE DOMAIN d_int_int AS d_int;
    CREATE DOMAIN d_text AS text COLLATE "C";
    CREATE DOMAIN d_mood AS mood;
    CREATE DOMAIN d_pair AS pair;
    CREATE DOMAIN d_array AS int[];
    CREATE DOMAIN d_json AS json;
    CREATE DOMAIN d_jsonb AS jsonb;
    CREATE DOMAIN d_float AS float8;
    CREATE DOMAIN d_floats AS float8[];
    CREATE DOMAIN d_time AS timestamptz;
    CREATE DOMAIN d_range AS tstzrange;
    CREATE DOMAIN d_char AS char(4);
    CREATE DOMAIN d_numeric AS numeric(8, 2);
    CREATE DOMAIN d_bytea AS bytea;"#;

/// Types made by users.
pub(crate) const USER_MADE: &[Column] = &[
    ("mood_", "mood", &["sad", "it's \"ok\"", "", "null", "-0"]),
    (
        "moods",
        "mood[]",
        &["{}", "{sad,NULL,\"it's \\\"ok\\\"\",\"\",\"null\"}", "{{sad,sad},{\"\",NULL}}", "[-1:0]={sad,sad}"],
    ),
    ("mood_range_", "mood_range", &["empty", "[sad,null)", "(,)"]),
    ("mood_ranges_", "mood_ranges", &["{}", "{[sad,\"\")}"]),
    ("pair_", "pair", &["(1,x)", "(,)", "(,\"\")", "(1,\"a \"\"b\"\" \\\\ c, (d)\")"]),
    ("pairs", "pair[]", &["{}", "{\"(1,x)\",NULL,\"(,)\"}"]),
    (
        "deep_",
        "deep",
        &[
            "(,,,,,,,,,)",
            "SQL:ROW (ROW (1, 'x'), ARRAY[ROW (2, 'y')::pair, NULL], 'null', '2024-03-10 01:00+00', '\\x00ff', -0.1, '-1 year 2 mons -3 days', 'first.ambiguous', '\"\\u0000\"', 'NaN')::deep",
        ],
    ),
    (
        "deeps",
        "deep[]",
        &[
            "{}",
            "SQL:ARRAY[ROW (NULL, '{}', NULL, 'infinity', '', '-0', '1 day', NULL, '{\"a\":1,\"a\":2}', 1.00)::deep]",
        ],
    ),
    ("row_type", "first.ambiguous", &["()"]),
    ("d_int_", "d_int", &["0", "-1"]),
    ("d_int_int_", "d_int_int", &["0", "-1"]),
    ("d_text_", "d_text", &["", "null", "é"]),
    ("d_mood_", "d_mood", &["sad", "null"]),
    ("d_pair_", "d_pair", &["(1,x)", "(,)"]),
    ("d_array_", "d_array", &["{}", "{1,NULL}", "{{1,2},{3,4}}"]),
    ("d_json_", "d_json", &["null", "{\"a\":1, \"a\":2}", "\"\\u0000\""]),
    ("d_jsonb_", "d_jsonb", &["null", "{\"threadline.json\": 1}", "\"x\"", "1.00"]),
    ("d_float_", "d_float", &["-0", "0", "NaN", "0.1"]),
    ("d_floats_", "d_floats", &["{-0,0,NaN}", "{0.1}", "{}"]),
    ("d_time_", "d_time", &["infinity", "2024-03-10 01:00+00"]),
    ("d_range_", "d_range", &["empty", "[\"2024-03-10 01:00+00\",infinity)"]),
    ("d_char_", "d_char", &["ab", ""]),
    ("d_numeric_", "d_numeric", &["1.5", "NaN"]),
    ("d_bytea_", "d_bytea", &["\\x00ff", ""]),
    ("d_ints", "d_int[]", &["{}", "{1,NULL}"]),
    ("d_moods", "d_mood[]", &["{}", "{sad,NULL,null}"]),
    ("d_pairs", "d_pair[]", &["{}", "{\"(1,x)\",\"(,)\",NULL}"]),
    ("d_arrays", "d_array[]", &["{}", "{\"{1,2}\",\"{}\"}"]),
    ("d_jsons", "d_json[]", &["{}", "{\"{\\\"a\\\":1,\\\"a\\\":2}\",null}"]),
    ("d_times", "d_time[]", &["{}", "{infinity,\"2024-03-10 01:00+00\"}"]),
];

/// Arrays of built-in types: shapes that need more than one element of the type's list.
pub(crate) const ARRAYS: &[Column] = &[
    ("ints", "int[]", &["{}", "{1}", "{1,NULL,3}", "{NULL}", "{{1,2},{3,NULL}}", "{{{1},{2}},{{3},{4}}}"]),
    ("texts", "text[]", &["{}", "{\"\",NULL,\"NULL\",\"null\",\"a,b\",\"{}\",\"\\\"\",\"\\\\\"}", "{{a},{b}}"]),
    ("floats8", "float8[]", &["{}", "{-0}", "{0,-0}", "{NULL,NaN,Infinity,5e-324}", "{{-0,1},{2,3}}", "{0.1,1e-05}"]),
    ("floats4", "float4[]", &["{-0,1.1}", "{1.1,1e-45}"]),
    ("numerics", "numeric[]", &["{1.0,1.00,NaN,1e-20}"]),
    ("times", "timestamptz[]", &["{infinity,\"2024-03-10 01:00+00\",NULL}"]),
    ("jsons", "json[]", &["{}", "{null,NULL,\"{\\\"a\\\": 1, \\\"a\\\": 2}\",\"\\\"\\\\\\\\u0000\\\"\"}"]),
    ("jsonbs", "jsonb[]", &["{}", "{null,NULL,\"{\\\"threadline.json\\\": 1}\",\"\\\"x\\\"\"}"]),
    ("byteas", "bytea[]", &["{\"\\\\x00ff\",\"\",NULL}"]),
    ("chars", "char(3)[]", &["{ab,\"\",NULL}"]),
    ("singles", "\"char\"[]", &["{a,\"\",NULL,\"\\\"\"}"]),
    ("ranges", "tstzrange[]", &["{empty,\"[\\\"2024-03-10 01:00+00\\\",)\",NULL}"]),
    ("points", "point[]", &["{\"(-0,0.1)\"}"]),
    ("boxes", "box[]", &["{(2,2),(1,1);(3,3),(0.1,0)}"]),
];
