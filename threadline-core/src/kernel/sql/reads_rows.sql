-- From an image in the trail back to a row of its table, so that an ORM decodes it as any other row.

CREATE FUNCTION @schema@.refuse_image(code text, message text, remedy text, table_schema text, table_name text, column_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = format('threadline: column %I of %I.%I %s', column_name, table_schema, table_name, message),
        ERRCODE = CASE code WHEN 'column_redacted' THEN 'TL011' WHEN 'schema_changed' THEN 'TL012' ELSE 'TL006' END,
        CONSTRAINT = 'threadline_' || code,
        HINT = remedy, SCHEMA = table_schema, TABLE = table_name, COLUMN = column_name;
END $body$;

-- The row of the table whose row type the first argument has, with the values that the image holds for the columns in
-- `wanted`; every other column is NULL, and so is one that is masked or that the image does not hold. `needed` are those
-- that cannot be NULL: then it is an error, as is a column that is gone or whose values of that time do not fit its type of
-- today. Whether they fit is tried out: the row is stored again, and must look as in the image.
-- With `at`, the instant that the image is of, what was masked or excluded when it was recorded counts too: a former
-- placeholder is no value. The image is from the last change by then; where that one kept none it was made from later ones, and
-- what looks like a placeholder of that time or later is taken for one.
-- Runs with the caller's rights. Like every statement that makes values of the table's types it runs their input functions
-- and the conditions of domains. The settings are those capture pins.
CREATE FUNCTION @schema@.row_from_image(row_type anyelement, table_schema text, table_name text, image jsonb, wanted text[], needed text[], at timestamptz DEFAULT NULL) RETURNS anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET quote_all_identifiers = 'off' SET lc_monetary = 'C' AS $body$
#variable_conflict use_column
DECLARE
    target regclass := (SELECT t.typrelid FROM pg_type t WHERE t.oid = pg_typeof(row_type));
    policy jsonb;
    keys text[];
    entry_id integer;
    masked_columns text[];      -- those wanted whose value is a placeholder
    excluded_columns text[];    -- those wanted that were left out
    was_redacted boolean;       -- the policy was another one, under which the image may have been recorded
    recorded_at timestamptz;
    told_columns text[];        -- those that the image tells and that are wanted
    names text[];               -- all columns of the table
    expressions text[];         -- what makes each of them; $1 is the image, r the plain columns of it
    stored text;                -- the told columns as capture would store them
    query text;
    again jsonb;
    candidate text;
    bad text;
    result ALIAS FOR $0;
BEGIN
    SELECT e.policy, e.key_columns, e.id,
        ARRAY(SELECT w FROM unnest(wanted) AS w WHERE e.policy -> 'mask' ? w AND image -> w = e.policy -> 'mask_placeholder'),
        ARRAY(SELECT w FROM unnest(wanted) AS w WHERE e.policy -> 'exclude' ? w AND NOT image ? w),
        EXISTS (SELECT FROM @schema@.audited_columns k WHERE k.audited_table = e.id AND k.name = ANY (wanted) AND k.until IS NOT NULL
                  AND CASE WHEN k.excluded THEN NOT image ? k.name ELSE image -> k.name = to_jsonb(k.mask_placeholder) END)
        INTO policy, keys, entry_id, masked_columns, excluded_columns, was_redacted
        FROM @schema@.table_entry(row_from_image.table_schema, row_from_image.table_name) AS e;
    IF was_redacted AND at IS NOT NULL THEN
        SELECT CASE WHEN c.data_after IS NOT NULL THEN c.captured_at END INTO recorded_at
        FROM @schema@.row_changes_before(row_from_image.table_schema, row_from_image.table_name,
            (SELECT jsonb_object_agg(key_column, image -> key_column) FROM unnest(keys) AS key_column), at, 9223372036854775807, 1) AS c
        WHERE c.op <> 'truncate' ORDER BY c.captured_at DESC, c.id DESC LIMIT 1;
        SELECT masked_columns || coalesce(array_agg(k.name) FILTER (WHERE NOT k.excluded), '{}'),
            excluded_columns || coalesce(array_agg(k.name) FILTER (WHERE k.excluded), '{}') INTO masked_columns, excluded_columns
        FROM @schema@.audited_columns k WHERE k.audited_table = entry_id AND k.name = ANY (wanted)
          AND CASE WHEN k.excluded THEN NOT image ? k.name ELSE image -> k.name = to_jsonb(k.mask_placeholder) END
          AND k.until > coalesce(recorded_at, at) AND (recorded_at IS NULL OR k.since <= recorded_at);
    END IF;

    FOREACH candidate IN ARRAY wanted LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = candidate AND a.attnum > 0 AND NOT a.attisdropped) THEN
            IF image ? candidate THEN
                PERFORM @schema@.refuse_image('schema_changed', 'was dropped or renamed since that instant', 'Read the row as JSON, or into a struct without that field.', table_schema, table_name, candidate);
            END IF;
            PERFORM @schema@.refuse_image('unknown_column', 'does not exist', 'Bring the struct and the table together.', table_schema, table_name, candidate);
        END IF;
    END LOOP;
    FOREACH candidate IN ARRAY needed LOOP
        IF candidate = ANY (excluded_columns) THEN
            PERFORM @schema@.refuse_image('column_redacted', CASE WHEN policy -> 'exclude' ? candidate THEN 'is' ELSE 'was' END || ' excluded from capture, so the trail does not hold it', 'Make the field an Option, or read the row into a struct without it.', table_schema, table_name, candidate);
        ELSIF candidate = ANY (masked_columns) THEN
            PERFORM @schema@.refuse_image('column_redacted', CASE WHEN policy -> 'mask' ? candidate THEN 'is' ELSE 'was' END || ' masked, so the trail holds a placeholder in its place', 'Make the field an Option, or read the row into a struct without it.', table_schema, table_name, candidate);
        ELSIF NOT image ? candidate THEN
            PERFORM @schema@.refuse_image('schema_changed', 'was not recorded at that instant: it was added or renamed since', 'Make the field an Option, or read the row into a struct without it.', table_schema, table_name, candidate);
        END IF;
    END LOOP;

    SELECT array_agg(c.name) FILTER (WHERE c.told), array_agg(c.name ORDER BY c.attnum),
        array_agg(CASE
            WHEN NOT c.told THEN format('absent.%I', c.name)
            -- The exact text: jsonb would not keep it.
            WHEN c.route = 'json' THEN format('($1 ->> %L)::json', c.name)
            -- Before version 15 the input function takes the backslash for the value.
            WHEN c.route = 'byte' THEN format('@schema@.byte_from_text($1 ->> %L)', c.name)
            WHEN c.route = 'jsonb' THEN format('CASE WHEN jsonb_typeof($1 -> %1$L) = ''object'' AND $1 -> %1$L ? ''threadline.json'' THEN $1 -> %1$L -> ''threadline.json'' WHEN $1 -> %1$L <> ''null'' THEN $1 -> %1$L END', c.name)
            ELSE format('r.%I', c.name) END ORDER BY c.attnum),
        string_agg(format('%s AS %I', @schema@.stored_expression(format('r.%I', c.name), c.route), c.name), ', ') FILTER (WHERE c.told)
    INTO told_columns, names, expressions, stored
    FROM (SELECT a.attnum, a.attname::text AS name, @schema@.type_route(a.atttypid) AS route,
              a.attname = ANY (wanted) AND image ? a.attname::text AND NOT a.attname = ANY (masked_columns) AS told
          FROM pg_attribute a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped) AS c;
    IF told_columns IS NULL THEN
        RETURN result;
    END IF;
    -- `absent` is a row of NULLs that no domain objects to: it comes from an outer join.
    query := format('FROM (SELECT) AS one LEFT JOIN (SELECT (NULL::%1$s).*) AS absent ON false CROSS JOIN LATERAL jsonb_populate_record(ROW(%2$s)::%1$s, $2) AS r',
        target, (SELECT string_agg(format('absent.%I', n), ', ') FROM unnest(names) AS n));
    BEGIN
        EXECUTE format('SELECT %s %s', array_to_string(expressions, ', '), query) INTO result
            USING image, (SELECT jsonb_object_agg(c, image -> c) FROM unnest(told_columns) AS c
                          WHERE expressions[array_position(names, c)] = format('r.%I', c));
        EXECUTE format('SELECT to_jsonb(i.*) FROM (SELECT %s FROM (SELECT ($1).*) AS r) AS i', stored) INTO again USING result;
        bad := (SELECT c FROM unnest(told_columns) AS c WHERE again -> c IS DISTINCT FROM image -> c LIMIT 1);
    EXCEPTION WHEN data_exception OR integrity_constraint_violation OR undefined_table OR undefined_object OR undefined_function
        OR ambiguous_function OR invalid_schema_name OR cannot_coerce OR datatype_mismatch OR feature_not_supported THEN
        -- Which of the columns?
        FOREACH candidate IN ARRAY told_columns LOOP
            BEGIN
                EXECUTE format('SELECT %s %s', (SELECT string_agg(CASE WHEN n = candidate THEN e ELSE format('absent.%I', n) END, ', ' ORDER BY ordinality)
                                                FROM unnest(names, expressions) WITH ORDINALITY AS u (n, e, ordinality)), query) INTO result
                    USING image, CASE WHEN expressions[array_position(names, candidate)] = format('r.%I', candidate) THEN jsonb_build_object(candidate, image -> candidate) ELSE '{}' END;
            EXCEPTION WHEN data_exception OR integrity_constraint_violation OR undefined_table OR undefined_object OR undefined_function
                OR ambiguous_function OR invalid_schema_name OR cannot_coerce OR datatype_mismatch OR feature_not_supported THEN
                bad := candidate;
                EXIT;
            END;
        END LOOP;
        IF bad IS NULL THEN
            RAISE;
        END IF;
    END;
    IF bad IS NOT NULL THEN
        PERFORM @schema@.refuse_image('schema_changed', 'has changed its type since: its value at that instant does not fit', 'Read the row as JSON, or into a struct without that field.', table_schema, table_name, bad);
    END IF;
    RETURN result;
END $body$;
