//! Whatever runs with our rights under a foreign `search_path` resolves nothing by name.

use crate::sql_lint::violations;
use crate::support::database_with;

/// Tables and policies whose generated code has every form there is.
const TABLES: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE TYPE pair AS (a int, b mood);
    CREATE DOMAIN amount AS numeric; CREATE DOMAIN document AS jsonb; CREATE DOMAIN feeling AS mood;
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE every (id int, e mood, c pair, n amount, d document, f feeling, es mood[], j json, js json[], b jsonb, f4 float4, f8 float8, fs float8[],
        z timestamptz, zr tstzrange, zm tstzmultirange, dr daterange, t text COLLATE "C", v varchar(9), y bytea, i interval, m money, k regclass,
        p point, u uuid, x bool, ch "char", iv int2vector, g int GENERATED ALWAYS AS (id + 1) STORED, parent int REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE plain (LIKE every INCLUDING ALL, PRIMARY KEY (id, e, f8, j1), j1 jsonb);
    CREATE TABLE masked (LIKE plain INCLUDING ALL);
    CREATE TABLE lean (LIKE plain INCLUDING ALL);
    CREATE TABLE sparse (LIKE plain INCLUDING ALL);
    CREATE TABLE keyless (LIKE every INCLUDING GENERATED);
    CREATE TABLE "Odd ""name""" ("select" int PRIMARY KEY, "a = b" text, "x""y" json);
    CREATE TABLE parted (LIKE every INCLUDING GENERATED, PRIMARY KEY (id, e)) PARTITION BY RANGE (id);
    CREATE TABLE parted_1 PARTITION OF parted DEFAULT;
    CREATE FUNCTION host() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$ BEGIN RETURN NEW; END $$;
    CREATE TRIGGER h AFTER INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION host();
    CREATE TRIGGER b BEFORE INSERT OR UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION host();
    CREATE TRIGGER h AFTER INSERT OR UPDATE ON parted FOR EACH ROW EXECUTE FUNCTION host();
    SELECT threadline.enable_capture('plain', '{"require_actor": true}'), threadline.enable_capture('keyless'), threadline.enable_capture('"Odd ""name"""'),
        threadline.enable_capture('masked', '{"mask": ["t", "c", "b"], "exclude": ["k", "es"], "truncate": "rows"}'),
        threadline.enable_capture('lean', '{"images": "lean", "truncate": "refuse"}'),
        threadline.enable_capture('sparse', '{"before_values": false, "except_columns": ["t", "j"], "truncate": "rows"}'),
        threadline.enable_capture('parted', '{"require_actor": true, "mask": ["t"], "exclude": ["j"]}');"#;

#[test]
fn functions_without_a_search_path_of_their_own_resolve_nothing_by_name() {
    let (_database, mut session) = database_with(TABLES);
    let functions = session.rows(
        "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace
             AND NOT EXISTS (SELECT FROM unnest(proconfig) AS c WHERE c LIKE 'search_path=%') ORDER BY 1",
    );
    let mut linted = 0;
    let mut found = Vec::new();
    for function in functions {
        let [Some(name), Some(body)] = &function[..] else { panic!("{function:?}") };
        linted += 1;
        found.extend(violations(body).into_iter().map(|violation| format!("{name}, {violation}")));
    }
    assert!(linted > 7 * 4 - 2 + 10, "only {linted} functions");
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn statements_of_the_generic_path_resolve_nothing_by_name() {
    // They run under the search_path pg_catalog, which still lets types and relations of pg_temp come first.
    let (_database, mut session) = database_with(TABLES);
    let mut linted = 0;
    for table in ["plain", "keyless", "\"Odd \"\"name\"\"\"", "masked", "lean", "sparse", "parted"] {
        for op in ["insert", "update", "delete"] {
            for source in ["transition", "row"] {
                let statement = session.value(&format!(
                    "SELECT threadline.capture_statement('{table}', '{op}', threadline.complete_policy('{table}',
                         (SELECT policy FROM threadline.captured_entry('{table}'))), 'public', 'x', '{source}', true)"
                ));
                linted += 1;
                assert_eq!(violations(&statement), [""; 0], "{statement}");
            }
        }
    }
    assert_eq!(linted, 7 * 3 * 2);
}

#[test]
fn functions_with_a_search_path_of_their_own_trust_pg_catalog_alone() {
    let (_database, mut session) = database_with(TABLES);
    let paths = session.column(
        "SELECT DISTINCT c FROM pg_proc, unnest(proconfig) AS c WHERE pronamespace = 'threadline'::regnamespace AND c LIKE 'search_path=%'",
    );
    assert_eq!(paths, ["search_path=pg_catalog, pg_temp"]);
}

#[test]
fn the_lint_finds_every_planted_violation() {
    let planted = [
        ("SELECT a OPERATOR(pg_catalog.=) b AND a = b", "operator by name"),
        ("SELECT a OPERATOR(public.=) b", "operator by name"),
        ("SELECT a OPERATOR(=) b", "operator by name"),
        ("IF x <> '' THEN NULL; END IF;", "operator by name"),
        ("SELECT 'a' || 'b'", "operator by name"),
        ("SELECT a *<> b", "operator by name"),
        ("SELECT a -> 'b'", "operator by name"),
        ("SELECT a - 1", "operator by name"),
        ("SELECT - a", "operator by name"),
        ("SELECT to_jsonb(a)", "function by name"),
        ("SELECT public.f(a)", "function by name"),
        ("SELECT \"to_jsonb\"(a)", "function by name"),
        ("SELECT a.pg_catalog.f(a)", "function by name"),
        ("PERFORM set_config('a', 'b', true)", "function by name"),
        ("SELECT cast(a AS pg_catalog.text)", "function by name"),
        ("SELECT now() AT TIME ZONE 'x'", "function by name"),
        ("SELECT a::text", "type by name"),
        ("SELECT a::public.text", "type by name"),
        ("SELECT a::\"text\"", "type by name"),
        ("SELECT date '2000-01-01'", "type by name"),
        ("SELECT x.date '2000-01-01'", "type by name"),
        ("DECLARE a text := 'x'; BEGIN END", "type by name"),
        ("DECLARE a pg_catalog.text; b record; BEGIN END", "type by name"),
        ("DECLARE a CONSTANT int := 1; BEGIN END", "type by name"),
        ("SELECT a IS DISTINCT FROM b", "hidden operator"),
        ("SELECT a IS NOT DISTINCT FROM b", "hidden operator"),
        ("SELECT NULLIF(a, b)", "hidden operator"),
        ("SELECT a IN (1, 2)", "hidden operator"),
        ("SELECT a NOT IN (SELECT b)", "hidden operator"),
        ("SELECT a BETWEEN b AND c", "hidden operator"),
        ("SELECT a LIKE 'b'", "hidden operator"),
        ("SELECT CASE a WHEN b THEN c END", "hidden operator"),
        ("SELECT GREATEST(a, b)", "hidden operator"),
        ("SELECT FROM pg_catalog.a JOIN pg_catalog.b USING (c)", "hidden operator"),
        ("SELECT FROM pg_catalog.a NATURAL JOIN pg_catalog.b", "hidden operator"),
        ("SELECT a = ANY (b)", "hidden operator"),
        ("SELECT a COLLATE \"C\"", "collation by name"),
        ("SELECT FROM pg_class", "relation by name"),
        ("SELECT FROM pg_catalog.a, b", "relation by name"),
        ("SELECT (SELECT FROM a)", "relation by name"),
        ("SELECT FROM pg_catalog.a AS x JOIN b ON true", "relation by name"),
        ("SELECT FROM public.new_rows", "relation by name"),
        ("INSERT INTO audit_changes VALUES (1)", "relation by name"),
        ("UPDATE audit_changes SET a", "relation by name"),
        ("DELETE FROM ONLY t", "relation by name"),
        ("EXECUTE 'SELECT 1'", "dynamic statement"),
        ("EXECUTE pg_catalog.format('SELECT %s', a)", "dynamic statement"),
    ];
    for (sql, expected) in planted {
        let found = violations(sql);
        assert!(found.iter().any(|violation| violation.contains(expected)), "{sql}: {found:?}");
    }
}

#[test]
fn the_lint_accepts_what_is_qualified() {
    let clean = r#"
        #variable_conflict use_column
        <<capture>>
        DECLARE
            a pg_catalog.text := 'x = y || z'; -- x = y
            b pg_catalog.record;
            c CONSTANT threadline.audited_tables := NULL;
        BEGIN
            /* a = b */
            IF a OPERATOR(pg_catalog.=) $q$ a = b $q$ AND NOT a OPERATOR(pg_catalog.=) ANY (ARRAY['a', E'\'b = c']) THEN
                RAISE EXCEPTION 'a % b', a USING ERRCODE = 'TL007', HINT = 'x';
            END IF;
            FOR x IN 1 .. 2 LOOP NULL; END LOOP;
            INSERT INTO threadline.t (a, b) SELECT pg_catalog.count(*), i.*, -1 FROM new_rows AS i CROSS JOIN LATERAL (SELECT 1) AS k (z);
            GET DIAGNOSTICS a = ROW_COUNT;
            PERFORM pg_catalog.make_interval(secs => 1)::pg_catalog.text, "in".x IS NOT DISTINCT FROM NULL, CASE WHEN a THEN 'b' ELSE 'c' END,
                pg_catalog.row_number() OVER (), (a COLLATE pg_catalog."C"), coalesce(a, b), "a = b", x[1] FROM pg_catalog.pg_class AS p, pg_catalog.pg_proc AS q;
            EXECUTE pg_catalog.format('DELETE FROM %s %I.%I', a, b, c);
            RETURN NULL;
        END"#;
    assert_eq!(violations(clean), [""; 0]);
}
