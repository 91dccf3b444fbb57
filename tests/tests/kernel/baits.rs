//! Mallory, an ordinary role, owns a schema full of traps. Whatever steps into one runs `mallory.steal()`, which notes
//! under whose rights it ran; a sequence notes it too, because it survives a rollback.

use threadline_testkit::Database;

use crate::session::Session;
use crate::support::{MALLORY, database_like};

/// A database with the kernel and the traps, and no table yet.
pub(crate) fn database() -> Database {
    let setup = format!(
        "CREATE SCHEMA mallory AUTHORIZATION {MALLORY};
         SET SESSION AUTHORIZATION {MALLORY};
         {TRAPS}
         RESET SESSION AUTHORIZATION;"
    );
    database_like("baits", &setup)
}

/// [`database`], set up by Mallory with `own`, then by the administrator with `admin`.
#[track_caller]
pub(crate) fn database_with(own: &str, admin: &str) -> Database {
    let database = database();
    as_mallory(&database, own);
    Session::open(&database).run(admin);
    database
}

/// Runs statements as Mallory, in a session of its own.
#[track_caller]
pub(crate) fn as_mallory(database: &Database, sql: &str) -> Session {
    let mut session = Session::open_as(database, MALLORY);
    session.run(sql);
    session
}

/// Checks that nobody but Mallory ran Mallory's code.
#[track_caller]
pub(crate) fn nothing_stolen(database: &Database) {
    let mut session = Session::open(database);
    let loot = session
        .column(&format!("SELECT DISTINCT who || ': ' || what FROM mallory.loot WHERE who <> '{MALLORY}' ORDER BY 1"));
    assert_eq!(loot, [""; 0], "Mallory's code ran with other rights");
    assert_eq!(
        session.value("SELECT is_called FROM mallory.thefts"),
        "f",
        "Mallory's code ran with other rights, and was rolled back"
    );
}

/// The labels of the traps that others stepped into.
pub(crate) fn stolen(database: &Database) -> Vec<String> {
    Session::open(database)
        .column(&format!("SELECT DISTINCT what FROM mallory.loot WHERE who <> '{MALLORY}' ORDER BY 1"))
}

const TRAPS: &str = r#"
CREATE TABLE mallory.loot (who text, what text);
CREATE SEQUENCE mallory.thefts;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
GRANT ALL ON mallory.loot, mallory.thefts TO PUBLIC;

CREATE FUNCTION mallory.steal(what pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    IF current_user <> 'threadline_test_mallory' THEN
        PERFORM nextval('mallory.thefts');
    END IF;
    INSERT INTO mallory.loot VALUES (current_user, what);
    RETURN what;
END $$;
-- Declared immutable, so that the planner calls it; what it calls is not.
CREATE FUNCTION mallory.steal_early(what pg_catalog.text) RETURNS pg_catalog.bool LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
    PERFORM mallory.steal(what);
    RETURN true;
END $$;

-- User-made types.
CREATE TYPE mallory.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE mallory.pair AS (m mallory.mood, t text);
CREATE DOMAIN mallory.feeling AS mallory.mood CHECK (mallory.steal('domain check') IS NOT NULL AND mallory.steal_early('domain check'));
CREATE DOMAIN mallory.amount AS integer CHECK (mallory.steal('domain check') IS NOT NULL AND mallory.steal_early('domain check'));
CREATE FUNCTION mallory.mood_gap(mallory.mood, mallory.mood) RETURNS float8 LANGUAGE sql IMMUTABLE AS $$ SELECT 1::float8 FROM mallory.steal('range gap') $$;
CREATE TYPE mallory.moods AS RANGE (subtype = mallory.mood, subtype_diff = mallory.mood_gap);

-- Casts from each of them to what capture might want: one kind runs when executed, the other when planned.
DO $do$
DECLARE
    source text;
    target text;
    n integer := 0;
BEGIN
    FOREACH source IN ARRAY ARRAY['mallory.mood', 'mallory.pair', 'mallory.moods', 'mallory.mood[]', 'mallory.pair[]'] LOOP
        FOREACH target IN ARRAY ARRAY['json', 'jsonb', 'text', 'varchar', 'int4', 'int8', 'numeric', 'float8', 'bool', 'bytea', 'timestamptz', 'text[]', 'int4[]'] LOOP
            n := n + 1;
            EXECUTE format(CASE WHEN target IN ('json', 'jsonb', 'text', 'varchar')
                THEN 'CREATE FUNCTION mallory.cast_%1$s(%2$s) RETURNS %3$s LANGUAGE plpgsql AS $f$ BEGIN PERFORM mallory.steal(%4$L); RETURN ''1''; END $f$'
                ELSE 'CREATE FUNCTION mallory.cast_%1$s(%2$s) RETURNS %3$s LANGUAGE sql IMMUTABLE AS $f$ SELECT CASE WHEN mallory.steal_early(%4$L) THEN NULL::%3$s END $f$'
                END, n, source, target, format('cast %s to %s', source, target));
            EXECUTE format('CREATE CAST (%1$s AS %2$s) WITH FUNCTION mallory.cast_%3$s(%1$s) AS IMPLICIT', source, target, n);
        END LOOP;
    END LOOP;
END $do$;
"#;

/// Types that take the place of built-in ones where a name is not qualified.
pub(crate) const TYPES: &str = r#"
DO $do$
DECLARE
    shadowed text;
BEGIN
    FOREACH shadowed IN ARRAY ARRAY['text', 'jsonb', 'int8', 'int4', 'bool', 'timestamptz', 'xid8', 'oid', 'tid', 'name', 'regclass', 'regtype', 'float8', 'int2', 'json', 'bigint', 'integer', 'boolean'] LOOP
        EXECUTE format('CREATE DOMAIN mallory.%1$I AS pg_catalog.%2$I CHECK (mallory.steal(%3$L) IS NOT NULL AND mallory.steal_early(%3$L))', shadowed,
            coalesce((SELECT typname FROM pg_catalog.pg_type WHERE oid = to_regtype(shadowed)), 'text'), 'type ' || shadowed);
    END LOOP;
    CREATE DOMAIN mallory.record AS pg_catalog.text CHECK (mallory.steal('type record') IS NOT NULL);
END $do$;
"#;

/// An operator and a function in place of every built-in one that the kernel's code mentions.
pub(crate) const OPERATORS_AND_FUNCTIONS: &str = r#"
DO $do$
DECLARE
    -- All the text that could run on behalf of Mallory: the kernel's functions and those generated for his tables.
    code text := (SELECT string_agg(prosrc, ' ') FROM pg_proc WHERE pronamespace = 'threadline'::regnamespace);
    shadowed record;
    n integer := 0;
BEGIN
    FOR shadowed IN
        SELECT p.oid, p.proname, pg_get_function_result(p.oid) AS result, oidvectortypes(p.proargtypes) AS arguments
        FROM pg_proc p
        WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f'
          AND code ~ ('\m' || p.proname || '\M') AND p.proname ~ '^[a-z_0-9]+$'
    LOOP
        BEGIN
            EXECUTE format('CREATE FUNCTION mallory.%I(%s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM mallory.steal(%L); RETURN NULL; END $f$',
                shadowed.proname, shadowed.arguments, shadowed.result, 'function ' || shadowed.proname);
        EXCEPTION WHEN OTHERS THEN
            NULL;  -- pseudo-types that no user-made function takes
        END;
    END LOOP;
    -- Exact matches for calls of which pg_catalog has only a general form.
    CREATE FUNCTION mallory.format(text, text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN mallory.steal('function format'); END $f$;
    CREATE FUNCTION mallory.concat(text, text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN mallory.steal('function concat'); END $f$;
    CREATE FUNCTION mallory.concat(text) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN mallory.steal('function concat'); END $f$;
    CREATE FUNCTION mallory.jsonb_build_object(text, integer) RETURNS jsonb LANGUAGE plpgsql AS $f$ BEGIN PERFORM mallory.steal('function jsonb_build_object'); RETURN NULL; END $f$;
    CREATE FUNCTION mallory.jsonb_build_object(text, text) RETURNS jsonb LANGUAGE plpgsql AS $f$ BEGIN PERFORM mallory.steal('function jsonb_build_object'); RETURN NULL; END $f$;
    FOR shadowed IN
        SELECT DISTINCT o.oprname, o.oprleft::regtype AS leftarg, o.oprright::regtype AS rightarg, o.oprresult::regtype AS result
        FROM pg_operator o
        WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprleft <> 0
          AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '->', '->>', '?', '~', '~~', '+', '-', '*', '/', '%', '&', '*<>', '*=', '@>')
          AND o.oprleft::regtype::text IN ('text', 'integer', 'bigint', 'jsonb', 'json', 'name', 'oid', 'boolean', 'double precision', 'timestamp with time zone', 'smallint',
              'xid8', 'tid', 'text[]', 'anyarray', 'anycompatiblearray', 'interval', 'record', 'regtype', '"char"')
    LOOP
        n := n + 1;
        BEGIN
            EXECUTE format('CREATE FUNCTION mallory.operator_%s(%s, %s) RETURNS %s LANGUAGE plpgsql AS $f$ BEGIN PERFORM mallory.steal(%L); RETURN NULL; END $f$',
                n, shadowed.leftarg, shadowed.rightarg, shadowed.result, 'operator ' || shadowed.oprname);
            EXECUTE format('CREATE OPERATOR mallory.%s (leftarg = %s, rightarg = %s, function = mallory.operator_%s)',
                shadowed.oprname, shadowed.leftarg, shadowed.rightarg, n);
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
END $do$;
"#;

/// Temporary views and tables in place of everything that the kernel's code reads or writes.
pub(crate) const TEMPORARY: &str = r#"
DO $do$
DECLARE
    shadowed text;
BEGIN
    FOREACH shadowed IN ARRAY ARRAY['pg_trigger', 'pg_proc', 'pg_class', 'pg_namespace', 'pg_attribute', 'pg_type', 'pg_index', 'pg_inherits', 'pg_constraint',
            'audited_tables', 'audited_columns', 'kernel_versions', 'new_rows', 'old_rows', 'pg_roles'] LOOP
        EXECUTE format('CREATE TEMPORARY VIEW %I AS SELECT mallory.steal(%L), 1 AS oid, 1 AS id', shadowed, 'view ' || shadowed);
        EXECUTE format('GRANT ALL ON %I TO PUBLIC', shadowed);
    END LOOP;
    FOREACH shadowed IN ARRAY ARRAY['audit_changes', 'audit_transactions', 'audit_actions'] LOOP
        EXECUTE format('CREATE TEMPORARY TABLE %I (id int8 DEFAULT length(mallory.steal(%L)))', shadowed, 'table ' || shadowed);
        EXECUTE format('GRANT ALL ON %I TO PUBLIC', shadowed);
    END LOOP;
END $do$;
"#;
