-- What a table looks like to capture, and how each column becomes JSON without running code of the table's owner.
--
-- Security: capture runs with the rights of the kernel's owner. to_jsonb and casts run user-made casts on enums, domains,
-- composites and arrays of them, so only types of pg_catalog are handed to them; everything else goes through
-- format('%s'), which runs type output functions only, and those only a superuser can make.

-- The columns of a table, with the types the parser sees. Both come from the relation cache (row_to_json and pg_typeof over
-- a null row), not from a snapshot of pg_attribute: under REPEATABLE READ a snapshot can still show what the table no
-- longer has. Naming the row type takes USAGE on its schema, which enable_capture grants to the kernel's owner; where it
-- was taken away again the catalog has to do (see sees_row_type).
CREATE FUNCTION @schema@.table_columns(target regclass) RETURNS TABLE (name text, type_id oid, ordinal bigint)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    row_type text;
    names text[];
    types oid[];
BEGIN
    IF NOT @schema@.sees_row_type(target) THEN
        RETURN QUERY SELECT a.attname::text, a.atttypid, row_number() OVER (ORDER BY a.attnum) FROM pg_attribute a
            WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v';
        RETURN;
    END IF;
    SELECT format('NULL::%I.%I', n.nspname, c.relname) INTO STRICT row_type
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    -- A null value is never converted, so this runs nothing.
    EXECUTE format('SELECT array_agg(keys.name) FROM (SELECT (%s).*) AS host, json_object_keys(row_to_json(host.*)) AS keys (name)', row_type) INTO names;
    IF names IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('SELECT ARRAY[%s]', (SELECT string_agg(format('pg_typeof((%s).%I)::oid', row_type, k), ', ' ORDER BY ordinality)
                                        FROM unnest(names) WITH ORDINALITY AS u (k, ordinality))) INTO types;
    -- Virtual generated columns (18) are NULL inside triggers.
    RETURN QUERY SELECT u.n, u.t, u.o FROM unnest(names, types) WITH ORDINALITY AS u (n, t, o)
        WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = u.n AND a.attgenerated = 'v');
END $body$;

-- Whether the kernel's owner may name the row type of a table.
CREATE FUNCTION @schema@.sees_row_type(target regclass) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce(has_schema_privilege(current_user, c.relnamespace, 'USAGE'), false) FROM pg_class c WHERE c.oid = target
$body$;

-- Its first argument, provided that its type is that of the second: else the statement fails while it is parsed, before
-- anything of it runs. For the generic path where the types come from the catalog only.
CREATE FUNCTION @schema@.pin(value anyelement, pinned_type anyelement) RETURNS anyelement
LANGUAGE sql IMMUTABLE AS 'SELECT $1';

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

-- Whether the text of a value may be no text: before version 15, "char" writes a byte outside ASCII as it is. What is made
-- of it does so too; a composite type may get such a field later.
CREATE FUNCTION @schema@.may_hold_bytes(type_id oid) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT current_setting('server_version_num')::integer < 150000 AND EXISTS (
        WITH RECURSIVE parts (part) AS (
            SELECT type_id
            UNION
            SELECT inner_part FROM parts JOIN pg_type t ON t.oid = parts.part
            LEFT JOIN pg_range r ON r.rngtypid = t.oid OR r.rngmultitypid = t.oid
            CROSS JOIN LATERAL unnest(ARRAY[t.typbasetype, CASE WHEN t.typcategory = 'A' THEN t.typelem END, r.rngsubtype]) AS inner_part
        )
        SELECT FROM parts JOIN pg_type t ON t.oid = parts.part WHERE t.oid = '"char"'::regtype OR t.typtype = 'c')
$body$;

-- How a type travels: json and jsonb by name, 'float', 'native' (to_jsonb is built in and exact), 'byte' and 'checked text'
-- (see may_hold_bytes), else 'text'.
CREATE FUNCTION @schema@.type_route(type_id oid) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    base pg_type;
    element pg_type;
BEGIN
    SELECT * INTO base FROM pg_type WHERE oid = @schema@.base_type(type_id);
    IF base.typnamespace IS DISTINCT FROM 'pg_catalog'::regnamespace OR base.typtype NOT IN ('b', 'r', 'm') THEN
        RETURN CASE WHEN @schema@.may_hold_bytes(base.oid) THEN 'checked text' ELSE 'text' END;
    END IF;
    IF base.oid IN ('json'::regtype, 'jsonb'::regtype) THEN
        RETURN base.typname;
    END IF;
    IF base.oid IN ('float4'::regtype, 'float8'::regtype) THEN
        RETURN 'float';
    END IF;
    IF base.oid = '"char"'::regtype THEN
        RETURN CASE WHEN @schema@.may_hold_bytes(base.oid) THEN 'byte' ELSE 'text' END;
    END IF;
    IF base.oid IN ('int2vector'::regtype, 'oidvector'::regtype) THEN
        RETURN 'text';
    END IF;
    IF base.typcategory = 'A' THEN
        SELECT * INTO element FROM pg_type WHERE oid = base.typelem;
        RETURN CASE
            WHEN element.oid IN ('float4'::regtype, 'float8'::regtype) THEN 'float array'
            WHEN element.typnamespace = 'pg_catalog'::regnamespace AND element.typtype IN ('b', 'r', 'm') AND element.typcategory <> 'A'
                 AND element.oid NOT IN ('json'::regtype, 'jsonb'::regtype, '"char"'::regtype) THEN 'native'
            WHEN @schema@.may_hold_bytes(base.oid) THEN 'checked text'
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
    -- Without sight of the row type the answer would come from a snapshot and be kept beyond it: the generic path then.
    RETURN coalesce((SELECT bool_and(@schema@.sees_row_type(t.tgrelid) AND @schema@.table_shape(t.tgrelid) = shape)
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE p.pronamespace = @schema_name@::regnamespace AND p.proname = ANY (ARRAY[stem || '_insert', stem || '_update', stem || '_delete', stem || '_row'])), false);
EXCEPTION WHEN undefined_column OR undefined_object OR undefined_table OR invalid_schema_name OR duplicate_column OR ambiguous_column THEN
    RETURN false;
END $body$;

-- The columns with their types as the catalog shows them, in one line. Types of the owner's by name and base: a number
-- means nothing after a restore. In PL/pgSQL, which keeps the plan for the session.
CREATE FUNCTION @schema@.column_list(target oid) RETURNS text
LANGUAGE plpgsql STABLE AS $body$
BEGIN
    RETURN (SELECT pg_catalog.string_agg(pg_catalog.concat(a.attname, ' ', CASE WHEN a.atttypid OPERATOR(pg_catalog.<) 16384 THEN a.atttypid::pg_catalog.text ELSE @schema@.type_label(a.atttypid) END), ', ' ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a WHERE a.attrelid OPERATOR(pg_catalog.=) target AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped);
END $body$;

-- True while `root`, of which a row of `leaf` was written, has the columns that its capture function was generated for.
-- Beyond READ COMMITTED the snapshot can be older than the table: once per transaction, which keeps the table locked from
-- here on, the exact look.
CREATE FUNCTION @schema@.has_columns(root oid, leaf oid, columns text, shape text) RETURNS boolean
LANGUAGE plpgsql AS $body$
DECLARE
    looked pg_catalog.text := pg_catalog.concat('threadline.looked_', leaf);
BEGIN
    IF @schema@.column_list(root) OPERATOR(pg_catalog.<>) columns THEN
        RETURN false;
    END IF;
    IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed'
       AND pg_catalog.concat(pg_catalog.current_setting(looked, true)) OPERATOR(pg_catalog.<>) pg_catalog.pg_current_xact_id()::pg_catalog.text THEN
        IF @schema@.table_shape(root::pg_catalog.regclass) OPERATOR(pg_catalog.<>) shape THEN
            RETURN false;
        END IF;
        PERFORM pg_catalog.set_config(looked, pg_catalog.pg_current_xact_id()::pg_catalog.text, true);
    END IF;
    RETURN true;
END $body$;

-- BEFORE STATEMENT of a table captured row by row: looks at its columns once. They stay as they are until the statement
-- is over, because nothing alters a table that a statement is using. A statement that names a partition does not come by
-- here, nor does one of an inheritance parent: then each row is looked at.
CREATE FUNCTION @schema@.shape_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    PERFORM pg_catalog.set_config(pg_catalog.concat('threadline.shape_', pg_catalog.pg_trigger_depth(), '_', TG_RELID),
        CASE WHEN @schema@.has_columns(TG_RELID, TG_RELID, TG_ARGV[0], TG_ARGV[1]) THEN 'same' ELSE '' END, true);
    RETURN NULL;
END $body$;

-- AFTER STATEMENT: the next one may meet another table. A cascaded statement began one level further in: its AFTER
-- triggers wait for the statement that led to it.
CREATE FUNCTION @schema@.shape_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    PERFORM pg_catalog.set_config(pg_catalog.concat('threadline.shape_', pg_catalog.pg_trigger_depth(), '_', TG_RELID), '', true),
            pg_catalog.set_config(pg_catalog.concat('threadline.shape_', pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.+) 1, '_', TG_RELID), '', true);
    RETURN NULL;
END $body$;

-- Where the keys of a table lie among all key hashes: 2^32 values from here on belong to it, so one index finds the
-- changes of a key and of a rarely changed table. The name goes in with its length, not quoted: quoting follows a setting.
CREATE FUNCTION @schema@.table_hash(table_schema text, table_name text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $body$
    SELECT pg_catalog.hashtext(pg_catalog.concat(pg_catalog.length(table_schema), '.', table_schema, '.', table_name))::pg_catalog.int8 OPERATOR(pg_catalog.*) 4294967296
$body$;

-- The fixed-size number by which a change is found through its key; of a table without a key the table's own. A key that
-- is one whole number keeps its order (its lower 32 bits): rows made one after the other lie side by side in the index,
-- which halves the cost of bulk inserts. Any other key is hashed.
CREATE FUNCTION @schema@.key_hash(table_schema text, table_name text, key jsonb) RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    first_value jsonb;
    fields integer := 0;
    entry record;
BEGIN
    FOR entry IN SELECT e.value FROM jsonb_each(key) AS e LIMIT 2 LOOP
        fields := fields + 1;
        first_value := entry.value;
    END LOOP;
    IF fields = 1 AND jsonb_typeof(first_value) = 'number' THEN
        IF first_value::numeric = trunc(first_value::numeric) AND first_value::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN
            RETURN @schema@.table_hash(table_schema, table_name) + (first_value::bigint & 4294967295);
        END IF;
    END IF;
    RETURN @schema@.table_hash(table_schema, table_name) + coalesce(2147483648 + jsonb_hash(key)::bigint, 0);
END $body$;

-- The same as an expression over the key in `reference`, for a table whose key columns are `keys`, as cheap as they allow.
CREATE FUNCTION @schema@.key_hash_expression(target regclass, keys text[], reference text, table_schema text, table_name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    base bigint := @schema@.table_hash(table_schema, table_name);
    key_type oid := CASE WHEN cardinality(keys) = 1 THEN (SELECT @schema@.base_type(c.type_id) FROM @schema@.table_columns(target) c WHERE c.name = keys[1]) END;
BEGIN
    RETURN CASE
        WHEN keys = '{}' THEN format('%L::pg_catalog.int8', base)
        -- Through the JSON, not the column: a column that is retyped later must not bring a cast of its own.
        WHEN key_type = ANY (ARRAY['int2', 'int4', 'int8']::regtype[]) THEN
            format('%L::pg_catalog.int8 OPERATOR(pg_catalog.+) ((%s OPERATOR(pg_catalog.->) %L)::pg_catalog.int8 OPERATOR(pg_catalog.&) 4294967295)', base, reference, keys[1])
        WHEN key_type = ANY (ARRAY['numeric', 'float4', 'float8', 'jsonb']::regtype[]) THEN
            format('@schema@.key_hash(%L, %L, %s)', table_schema, table_name, reference)
        ELSE format('%L::pg_catalog.int8 OPERATOR(pg_catalog.+) pg_catalog.jsonb_hash(%s)', base + 2147483648, reference) END;
END $body$;

-- The qualified name of a type.
CREATE FUNCTION @schema@.type_name(type_id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT format('%I.%I', n.nspname, t.typname) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = type_id
$body$;

-- Text that is valid in the encoding of the database, as it is; anything else with each byte outside ASCII as a backslash
-- and three octal digits, and each backslash twice.
CREATE FUNCTION @schema@.checked_text(value text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    PERFORM convert_to(value, getdatabaseencoding());
    RETURN value;
EXCEPTION WHEN character_not_in_repertoire THEN
    -- No literal with a backslash: what it is depends on a setting.
    RETURN encode(decode(replace(value, chr(92), repeat(chr(92), 2)), 'escape'), 'escape');
END $body$;

-- A byte as it is stored in place of a character, and back.
CREATE FUNCTION @schema@.byte_from_text(value text) RETURNS "char"
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT CASE WHEN length(value) = 4 AND ascii(value) = 92 THEN ((get_byte(decode(value, 'escape'), 0) + 128) % 256 - 128)::"char" ELSE value::"char" END
$body$;

-- The SQL expression that turns the column `reference` into a value whose to_jsonb is what the trail stores.
CREATE FUNCTION @schema@.stored_expression(reference text, route text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN CASE route
        -- A domain needs no cast to its base: to_jsonb looks through it. A cast would be planned, and partly run, before
        -- has_shape could stop it.
        WHEN 'native' THEN reference
        -- The exact text: to_jsonb of json fails on \u0000 and on numbers beyond numeric, and drops duplicate keys.
        WHEN 'json' THEN format('CASE WHEN %s IS NOT DISTINCT FROM NULL THEN NULL ELSE pg_catalog.format(''%%s'', %s) END', reference, reference)
        -- JSON null inside a jsonb column and SQL NULL would look alike, and a string and the text of a json value: the
        -- former are wrapped.
        WHEN 'jsonb' THEN format('CASE WHEN pg_catalog.jsonb_typeof(pg_catalog.to_jsonb(%1$s)) OPERATOR(pg_catalog.=) ANY (ARRAY[''null'', ''string'']) OR pg_catalog.to_jsonb(%1$s) OPERATOR(pg_catalog.?) ''threadline.json'' THEN pg_catalog.jsonb_build_object(''threadline.json'', %1$s) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        -- A JSON number has no negative zero.
        WHEN 'float' THEN format('CASE WHEN pg_catalog.format(''%%s'', %1$s) OPERATOR(pg_catalog.=) ''-0'' THEN pg_catalog.to_jsonb(''-0''::pg_catalog.text) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        WHEN 'float array' THEN format('CASE WHEN pg_catalog.format(''%%s'', %1$s) OPERATOR(pg_catalog.~) ''-0[,}]'' THEN pg_catalog.to_jsonb(pg_catalog.format(''%%s'', %1$s)) ELSE pg_catalog.to_jsonb(%1$s) END', reference)
        -- As version 15 writes it. Compared by its bytes, which every version can.
        WHEN 'byte' THEN format('CASE WHEN %1$s IS NOT DISTINCT FROM NULL THEN NULL WHEN (pg_catalog.format(''%%s'', %1$s) COLLATE pg_catalog."C") OPERATOR(pg_catalog.>) pg_catalog.chr(127) THEN pg_catalog.encode(pg_catalog.decode(pg_catalog.format(''%%s'', %1$s), ''escape''), ''escape'') ELSE pg_catalog.format(''%%s'', %1$s) END', reference)
        WHEN 'checked text' THEN format('CASE WHEN %1$s IS NOT DISTINCT FROM NULL THEN NULL ELSE @schema@.checked_text(pg_catalog.format(''%%s'', %1$s)) END', reference)
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
    VALUES ('TimeZone', 'session_time_zone', 'UTC', '%s OPERATOR(pg_catalog.=) ANY (ARRAY[''UTC'', ''Etc/UTC'', ''GMT''])'),
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

-- The SQL expression that is true when two values of a column differ in any way that storing them would show. Bytewise,
-- NULL-safe. Where the type's own inequality is that, it is used (a third of the cost): for columns that are exactly of
-- such a type, so that no cast and no other operator can come into it. All others are compared as records.
CREATE FUNCTION @schema@.difference_expression(before text, after text, type_id oid) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT CASE
        WHEN type_id = ANY (ARRAY['bool', 'int2', 'int4', 'int8', 'oid', 'date', 'time', 'timestamp', 'timestamptz', 'uuid', 'bytea', 'money']::regtype[]) THEN
            format('CASE WHEN %1$s IS NULL THEN %2$s IS NOT NULL WHEN %2$s IS NULL THEN true ELSE %1$s OPERATOR(pg_catalog.<>) %2$s END', before, after)
        WHEN type_id = ANY (ARRAY['text', 'varchar']::regtype[]) THEN
            format('CASE WHEN %1$s IS NULL THEN %2$s IS NOT NULL WHEN %2$s IS NULL THEN true ELSE (%1$s COLLATE pg_catalog."C") OPERATOR(pg_catalog.<>) (%2$s COLLATE pg_catalog."C") END', before, after)
        ELSE format('ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record', before, after) END
$body$;
