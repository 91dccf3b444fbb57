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
-- Runs with the caller's rights. Like every statement that makes values of the table's types it runs their input functions
-- and the conditions of domains. The settings are those capture pins.
CREATE FUNCTION @schema@.row_from_image(row_type anyelement, table_schema text, table_name text, image jsonb, wanted text[], needed text[]) RETURNS anyelement
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET quote_all_identifiers = 'off' SET lc_monetary = 'C' AS $body$
#variable_conflict use_column
DECLARE
    target regclass := (SELECT t.typrelid FROM pg_type t WHERE t.oid = pg_typeof(row_type));
    policy jsonb := (SELECT e.policy FROM @schema@.table_entry(row_from_image.table_schema, row_from_image.table_name) AS e);
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
    FOREACH candidate IN ARRAY wanted LOOP
        IF NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = target AND a.attname = candidate AND a.attnum > 0 AND NOT a.attisdropped) THEN
            IF image ? candidate THEN
                PERFORM @schema@.refuse_image('schema_changed', 'was dropped or renamed since that instant', 'Read the row as JSON, or into a struct without that field.', table_schema, table_name, candidate);
            END IF;
            PERFORM @schema@.refuse_image('unknown_column', 'does not exist', 'Bring the struct and the table together.', table_schema, table_name, candidate);
        END IF;
    END LOOP;
    FOREACH candidate IN ARRAY needed LOOP
        IF policy -> 'exclude' ? candidate AND NOT image ? candidate THEN
            PERFORM @schema@.refuse_image('column_redacted', 'is excluded from capture, so the trail does not hold it', 'Make the field an Option, or read the row into a struct without it.', table_schema, table_name, candidate);
        ELSIF policy -> 'mask' ? candidate AND image -> candidate = policy -> 'mask_placeholder' THEN
            PERFORM @schema@.refuse_image('column_redacted', 'is masked, so the trail holds a placeholder in its place', 'Make the field an Option, or read the row into a struct without it.', table_schema, table_name, candidate);
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
              a.attname = ANY (wanted) AND image ? a.attname::text
                  AND NOT coalesce(policy -> 'mask' ? a.attname::text AND image -> a.attname::text = policy -> 'mask_placeholder', false) AS told
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
