-- What a table looks like to capture, and how each column becomes JSON without running code of the table's owner.
--
-- Security: capture runs with the rights of the kernel's owner. to_jsonb and casts run user-made casts on enums, domains,
-- composites and arrays of them, so only types of pg_catalog are handed to them; everything else goes through
-- format('%s'), which runs type output functions only, and those only a superuser can make.

-- The columns of a table in the order of their names, with the types the parser sees. Both come from the relation cache
-- (row_to_json and pg_typeof over a null row), not from a snapshot of pg_attribute: under REPEATABLE READ a snapshot can
-- still show a type that the table no longer has.
CREATE FUNCTION @schema@.table_columns(target regclass) RETURNS TABLE (name text, type_id oid, ordinal bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    row_type text;
    names text[];
    types oid[];
BEGIN
    SELECT format('NULL::%I.%I', n.nspname, c.relname) INTO STRICT row_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    -- A null value is never converted, so this runs nothing.
    EXECUTE format('SELECT array_agg(keys.name) FROM (SELECT (%s).*) AS host, json_object_keys(row_to_json(host.*)) AS keys (name)', row_type) INTO names;
    IF names IS NULL THEN
        RETURN;
    END IF;
    -- In slices: an array constructor holds any number, but a deep expression list is slow to parse.
    EXECUTE format('SELECT ARRAY[%s]', (SELECT string_agg(format('pg_typeof((%s).%I)::oid', row_type, k), ', ' ORDER BY ordinality)
                                        FROM unnest(names) WITH ORDINALITY AS u (k, ordinality))) INTO types;
    -- Virtual generated columns (18) are NULL inside triggers.
    RETURN QUERY SELECT u.n, u.t, u.o FROM unnest(names, types) WITH ORDINALITY AS u (n, t, o)
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = u.n AND a.attgenerated = 'v')
        ORDER BY u.n COLLATE "C";
END $body$;

-- The type under all domains.
CREATE FUNCTION @schema@.base_type(type_id oid) RETURNS oid
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    base oid := type_id;
    parent oid;
BEGIN
    LOOP
        SELECT typbasetype INTO parent FROM pg_type WHERE oid = base AND typtype = 'd';
        EXIT WHEN parent IS NULL;
        base := parent;
    END LOOP;
    RETURN base;
END $body$;

-- How a type travels: json and jsonb by name, 'float', 'native' (to_jsonb is built in and exact), else 'text'.
CREATE FUNCTION @schema@.type_route(type_id oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    base pg_type;
    element pg_type;
BEGIN
    SELECT * INTO base FROM pg_type WHERE oid = @schema@.base_type(type_id);
    IF base.typnamespace IS DISTINCT FROM 'pg_catalog'::regnamespace OR base.typtype NOT IN ('b', 'r', 'm') THEN
        RETURN 'text';
    END IF;
    IF base.oid IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN base.typname;
    END IF;
    IF base.oid IN ('float4'::regtype, 'float8'::regtype) THEN
        RETURN 'float';
    END IF;
    IF base.oid IN ('int2vector'::regtype, 'oidvector'::regtype, '"char"'::regtype) THEN
        RETURN 'text';
    END IF;
    IF base.typcategory = 'A' THEN
        SELECT * INTO element FROM pg_type WHERE oid = base.typelem;
        RETURN CASE
            WHEN element.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'float array'
            WHEN element.typnamespace = 'pg_catalog'::regnamespace AND element.typtype IN ('b', 'r', 'm')
                 AND element.oid NOT IN ('json'::regtype, 'jsonb'::regtype, '"char"'::regtype) THEN 'native'
            ELSE 'text' END;
    END IF;
    RETURN 'native';
END $body$;

-- The qualified name of a type; for a domain its base too, because a domain can be dropped and made again over another.
CREATE FUNCTION @schema@.type_label(type_id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $body$
    SELECT format('%I.%I', n.nspname, t.typname)
        || CASE WHEN t.typtype = 'd' THEN ' over ' || (SELECT format('%I.%I', bn.nspname, b.typname) FROM pg_type b JOIN pg_namespace bn ON bn.oid = b.typnamespace WHERE b.oid = @schema@.base_type(type_id)) ELSE '' END
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type_id
$body$;

-- One line that changes whenever a column is added, dropped, renamed or retyped, or two columns swap their names: in
-- physical order, which dump and restore keep.
CREATE FUNCTION @schema@.table_shape(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $body$
    SELECT md5(string_agg(format('%I %s', c.name, coalesce(@schema@.type_label(c.type_id), '?')), ', ' ORDER BY c.ordinal))
    FROM @schema@.table_columns(target) c
$body$;

-- True while every table that the capture functions of `stem` hang on has the shape they were generated for.
-- Declared immutable so that the planner folds it to a constant: a plan over a transition table is made again whenever
-- its table is altered, which makes the check exact and free. It must never be called with anything but literals.
CREATE FUNCTION @schema@.has_shape(stem text, shape text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN coalesce((SELECT bool_and(@schema@.table_shape(t.tgrelid) = shape)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = @schema_name@::regnamespace AND p.proname = ANY (ARRAY[stem || '_insert', stem || '_update', stem || '_delete', stem || '_row'])), false);
EXCEPTION WHEN undefined_column OR undefined_object OR undefined_table OR invalid_schema_name OR duplicate_column OR ambiguous_column THEN
    RETURN false;
END $body$;

-- The seed that keeps equal keys of different tables apart in the key index.
CREATE FUNCTION @schema@.table_seed(table_schema text, table_name text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $body$
    SELECT pg_catalog.hashtextextended(pg_catalog.concat(pg_catalog.length(table_schema), '.', table_schema, '.', table_name), 0)
$body$;

-- The SQL expression that turns the column `reference` into a value whose to_jsonb is what the trail stores.
CREATE FUNCTION @schema@.stored_expression(reference text, type_id oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    route text := @schema@.type_route(type_id);
BEGIN
    RETURN CASE route
        -- A domain needs no cast to its base: to_jsonb looks through it. A cast would be planned, and partly run, before
        -- has_shape could stop it.
        WHEN 'native' THEN reference
        -- The exact text: to_jsonb of json fails on \u0000 and on numbers beyond numeric, and drops duplicate keys.
        WHEN 'json' THEN format('CASE WHEN %s IS NOT DISTINCT FROM NULL THEN NULL ELSE pg_catalog.format(''%%s'', %s) END', reference, reference)
        -- JSON null inside a jsonb column and SQL NULL would look alike: the former is wrapped.
        WHEN 'jsonb' THEN format('CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(%1$s)) OPERATOR(pg_catalog.=) ''null'' OR pg_catalog.to_jsonb(%1$s) OPERATOR(pg_catalog.?) ''threadline.json'' THEN pg_catalog.jsonb_build_object(''threadline.json'', %1$s) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        -- A JSON number has no negative zero.
        WHEN 'float' THEN format('CASE WHEN pg_catalog.format(''%%s'', %1$s) OPERATOR(pg_catalog.=) ''-0'' THEN pg_catalog.to_jsonb(''-0''::pg_catalog.text) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        WHEN 'float array' THEN format('CASE WHEN pg_catalog.format(''%%s'', %1$s) OPERATOR(pg_catalog.~) ''-0[,}]'' THEN pg_catalog.to_jsonb(pg_catalog.format(''%%s'', %1$s)) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        -- Not IS NULL: a composite of nulls is not null.
        ELSE format('CASE WHEN %s IS NOT DISTINCT FROM NULL THEN NULL ELSE pg_catalog.format(''%%s'', %s) END', reference, reference)
    END;
END $body$;

-- The session settings that the text form of a type depends on.
CREATE FUNCTION @schema@.type_settings(type_id oid) RETURNS text[]
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    all_settings text[] := ARRAY['TimeZone', 'DateStyle', 'IntervalStyle', 'bytea_output', 'extra_float_digits', 'search_path', 'quote_all_identifiers', 'lc_monetary'];
    base pg_type;
BEGIN
    SELECT * INTO base FROM pg_type WHERE oid = @schema@.base_type(type_id);
    IF base.typtype = 'e' THEN
        RETURN '{}';
    END IF;
    IF base.typnamespace = 'pg_catalog'::regnamespace AND base.typcategory = 'A' THEN
        SELECT * INTO base FROM pg_type WHERE oid = base.typelem;
    END IF;
    IF base.typnamespace IS DISTINCT FROM 'pg_catalog'::regnamespace THEN
        RETURN CASE WHEN EXISTS (SELECT FROM pg_type e WHERE e.oid = base.typelem AND base.typcategory = 'A' AND e.typtype = 'e')
                    THEN '{}' ELSE all_settings END;
    END IF;
    RETURN CASE
        -- to_jsonb writes dates and times in ISO form whatever DateStyle says; a range goes through its output function.
        WHEN base.typname = 'timestamptz' THEN ARRAY['TimeZone']
        WHEN base.typname IN ('tstzrange', 'tstzmultirange') THEN ARRAY['TimeZone', 'DateStyle']
        WHEN base.typname IN ('daterange', 'datemultirange', 'tsrange', 'tsmultirange') THEN ARRAY['DateStyle']
        WHEN base.typname = 'interval' THEN ARRAY['IntervalStyle']
        WHEN base.typname = 'bytea' THEN ARRAY['bytea_output']
        WHEN base.typname IN ('float4', 'float8', 'point', 'line', 'lseg', 'box', 'path', 'polygon', 'circle') THEN ARRAY['extra_float_digits']
        WHEN base.typname = 'money' THEN ARRAY['lc_monetary']
        WHEN base.typname LIKE 'reg%' OR base.typname = 'aclitem' THEN ARRAY['search_path', 'quote_all_identifiers']
        WHEN base.typname IN ('date', 'timestamp', 'bool', 'int2', 'int4', 'int8', 'numeric', 'text', 'varchar', 'bpchar', 'name', 'uuid', 'json', 'jsonb', 'xml',
            'time', 'timetz', 'inet', 'cidr', 'macaddr', 'macaddr8', 'bit', 'varbit', 'tsvector', 'tsquery', 'oid', 'tid', 'xid', 'xid8', 'cid',
            'pg_lsn', 'txid_snapshot', 'pg_snapshot', 'char', 'int4range', 'int8range', 'numrange', 'int4multirange', 'int8multirange',
            'nummultirange', 'jsonpath', 'int2vector', 'oidvector') THEN '{}'
        ELSE all_settings END;
END $body$;

-- The settings of type_settings with the value capture pins each to, and the test that the session's value does as well.
CREATE FUNCTION @schema@.pinned_settings() RETURNS TABLE (setting text, variable text, pinned text, suffices text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
    VALUES ('TimeZone', 'session_time_zone', 'UTC', '%s OPERATOR(pg_catalog.=) ''UTC'''),
           ('DateStyle', 'session_date_style', 'ISO, MDY', 'pg_catalog.starts_with(%s, ''ISO'')'),
           ('IntervalStyle', 'session_interval_style', 'postgres', '%s OPERATOR(pg_catalog.=) ''postgres'''),
           ('bytea_output', 'session_bytea_output', 'hex', '%s OPERATOR(pg_catalog.=) ''hex'''),
           ('extra_float_digits', 'session_float_digits', '1', '%s OPERATOR(pg_catalog.=) ANY (ARRAY[''1'', ''2'', ''3''])'),
           ('search_path', 'session_search_path', 'pg_catalog', '%s OPERATOR(pg_catalog.=) ''pg_catalog'''),
           ('quote_all_identifiers', 'session_quote_all', 'off', '%s OPERATOR(pg_catalog.=) ''off'''),
           ('lc_monetary', 'session_lc_monetary', 'C', '%s OPERATOR(pg_catalog.=) ''C''')
$body$;

-- Pins every setting and returns what was there; and puts it back. For the generic path, which is rare.
CREATE FUNCTION @schema@.pin_settings() RETURNS jsonb
LANGUAGE plpgsql AS $body$
DECLARE
    saved pg_catalog.jsonb := '{}';
    entry pg_catalog.record;
BEGIN
    FOR entry IN SELECT p.setting, p.pinned FROM @schema@.pinned_settings() AS p LOOP
        saved := saved OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(entry.setting, pg_catalog.current_setting(entry.setting));
        PERFORM pg_catalog.set_config(entry.setting, entry.pinned, true);
    END LOOP;
    RETURN saved;
END $body$;

CREATE FUNCTION @schema@.restore_settings(saved jsonb) RETURNS void
LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM pg_catalog.set_config(e.key, e.value, true) FROM pg_catalog.jsonb_each_text(saved) AS e;
END $body$;
