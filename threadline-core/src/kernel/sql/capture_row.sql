-- The statements that record the change of one row, in a generated row trigger function.
--
-- PL/pgSQL keeps its own expressions for the transaction, whereas the executor sets up those of an INSERT .. SELECT for
-- every row: so the record is made in variables, and the INSERT gets nothing but them.

-- The columns that capture stores under a policy, in the order in which jsonb keeps its keys: sorting what is sorted is
-- cheap. Where the row type cannot be seen, a type with a name of its own cannot be pinned either: as text.
CREATE FUNCTION @schema@.stored_columns(target regclass, policy jsonb, by_name_only boolean)
RETURNS TABLE (name text, type_id oid, masked boolean, excepted boolean, is_key boolean, route text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT c.name, c.type_id, policy -> 'mask' ? c.name, policy -> 'except_columns' ? c.name, c.name = ANY (@schema@.key_columns(target)),
        CASE WHEN NOT (by_name_only AND c.type_id >= 16384) THEN @schema@.type_route(c.type_id)
            WHEN @schema@.may_hold_bytes(c.type_id) THEN 'checked text' ELSE 'text' END
    FROM @schema@.table_columns(target) c
    WHERE NOT policy -> 'exclude' ? c.name
    ORDER BY octet_length(c.name), c.name COLLATE "C"
$body$;

-- The redacted columns that are gone, or whose name now stands at another place: they may live on under another name, so
-- no image is stored at all. Places are those of the partitioned table; its partitions number their columns their own way.
CREATE FUNCTION @schema@.missing_redacted(target regclass, policy jsonb) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT string_agg(quote_ident(r.name), ', ' ORDER BY r.name) FROM (
        SELECT jsonb_array_elements_text(policy -> 'exclude') AS name UNION SELECT jsonb_array_elements_text(policy -> 'mask')) AS r
    -- Places can be read from a snapshot only; if the names it shows are not the real ones, it is too old.
    WHERE (SELECT array_agg(c.name ORDER BY c.ordinal) FROM @schema@.table_columns(target) c) IS DISTINCT FROM (SELECT array_agg(a.attname::text ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v')
       OR r.name NOT IN (SELECT c.name FROM @schema@.table_columns(target) c)
       OR (policy ? 'places' AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = coalesce(pg_partition_root(target), target)
           AND a.attname = r.name AND NOT a.attisdropped AND a.attnum = (policy -> 'places' ->> r.name)::integer))
$body$;

-- A JSON object of names and expressions, as an expression; a function takes a hundred arguments.
CREATE FUNCTION @schema@.object_expression(names text[], expressions text[]) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce(string_agg(part, E'\n        OPERATOR(pg_catalog.||) ' ORDER BY number), '''{}''::pg_catalog.jsonb') FROM (
        SELECT (ordinality - 1) / 50 AS number, format('pg_catalog.jsonb_build_object(%s)', string_agg(format('%L, %s', n, e), ', ' ORDER BY ordinality)) AS part
        FROM unnest(names, expressions) WITH ORDINALITY AS u (n, e, ordinality) GROUP BY 1) AS parts
$body$;

-- The statements for 'insert', 'update' or 'delete'; NULL when nothing is left to record. They speak the variables of the
-- generated function and are not even parsed before the shape of the table was checked.
CREATE FUNCTION @schema@.capture_row(target regclass, op text, policy jsonb, table_schema text, table_name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    lean boolean := policy ->> 'images' = 'lean';
    keys text[] := @schema@.key_columns(target);
    withheld boolean := @schema@.missing_redacted(target, policy) IS NOT NULL;
    before_values boolean := policy -> 'before_values' = 'true' AND NOT withheld;
    hash text := @schema@.key_hash_expression(target, keys, 'capture.pk', table_schema, table_name);
    differences text[] := '{}';
    key_differs text[] := '{}';
    image_names text[] := '{}';
    image_values text[] := '{}';
    key_values text[] := '{}';
    old_key_values text[] := '{}';
    changed_names jsonb := '{}';
    before_parts text := '';
    key_names text[] := '{}';
    col record;
    differs text;
    value_now text;
    value_before text;
    image text;
    script text := '';
    columns text := '';
    stored_values text := '';
BEGIN
    FOR col IN SELECT * FROM @schema@.stored_columns(target, policy, false) LOOP
        value_now := CASE WHEN col.masked THEN format('%L::pg_catalog.text', policy ->> 'mask_placeholder')
            ELSE @schema@.stored_expression(format(CASE op WHEN 'delete' THEN 'OLD.%I' ELSE 'NEW.%I' END, col.name), col.route) END;
        value_before := CASE WHEN col.masked THEN value_now ELSE @schema@.stored_expression(format('OLD.%I', col.name), col.route) END;
        differences := differences || @schema@.difference_expression(format('OLD.%I', col.name), format('NEW.%I', col.name), col.type_id);
        differs := format('capture.differs[%s]', cardinality(differences));
        -- A deleted row keeps what changed_from keeps.
        IF op <> 'delete' OR NOT col.excepted OR col.is_key THEN
            image_names := image_names || col.name;
            image_values := image_values || value_now;
        END IF;
        IF NOT col.excepted THEN
            changed_names := changed_names || jsonb_build_object(col.name, format('CASE WHEN %s THEN %L END', differs, col.name));
            before_parts := before_parts || format(E'\n        OPERATOR(pg_catalog.||) CASE WHEN %s THEN pg_catalog.jsonb_build_object(%L, %s) ELSE ''{}'' END', differs, col.name, value_before);
        END IF;
        IF col.is_key THEN
            key_names := key_names || col.name;
            key_values := key_values || value_now;
            old_key_values := old_key_values || value_before;
            key_differs := key_differs || differs;
        END IF;
    END LOOP;
    IF differences = '{}' THEN
        RETURN NULL;
    END IF;
    image := CASE WHEN withheld OR (lean AND op = 'insert') THEN NULL ELSE @schema@.object_expression(image_names, image_values) END;
    IF key_names <> '{}' THEN
        script := format(E'\n    capture.pk := %s;', @schema@.object_expression(key_names, key_values));
    END IF;
    IF op = 'update' THEN
        IF key_names <> '{}' THEN
            script := script || format(E'\n    capture.previous_pk := CASE WHEN %s THEN %s END;', array_to_string(key_differs, ' OR '), @schema@.object_expression(key_names, old_key_values));
        END IF;
        -- A lean table still keeps the whole row when its key changes: it is where the two histories are tied together.
        IF lean AND image IS NOT NULL THEN
            image := CASE WHEN key_names = '{}' THEN NULL ELSE format('CASE WHEN capture.previous_pk IS NOT NULL THEN %s END', image) END;
        END IF;
        IF NOT withheld THEN
            script := script || format(E'\n    capture.changed_fields := pg_catalog.array_remove(ARRAY[%s]::pg_catalog.text[], NULL);',
                (SELECT string_agg(value, ', ' ORDER BY key COLLATE "C") FROM jsonb_each_text(changed_names)));
        END IF;
        IF before_values THEN
            script := script || format(E'\n    capture.changed_from := ''{}''::pg_catalog.jsonb%s;', before_parts);
        END IF;
        columns := ', previous_pk, previous_key_hash, changed_fields';
        stored_values := format(', capture.previous_pk, CASE WHEN capture.previous_pk IS NULL THEN NULL ELSE %s END, capture.changed_fields', replace(hash, 'capture.pk', 'capture.previous_pk'));
        IF before_values THEN
            columns := columns || ', changed_from';
            stored_values := stored_values || ', capture.changed_from';
        END IF;
    END IF;
    IF image IS NOT NULL THEN
        script := script || format(E'\n    capture.image := %s;', image);
        columns := columns || CASE op WHEN 'delete' THEN ', changed_from' ELSE ', data_after' END;
        stored_values := stored_values || ', capture.image';
    END IF;
    IF withheld THEN
        columns := columns || ', withheld';
        stored_values := stored_values || format(', %L', 'redacted column gone: ' || @schema@.missing_redacted(target, policy));
    END IF;
    script := script
        || format(E'\n    INSERT INTO @schema@.audit_changes (transaction_id, xid, captured_at, table_schema, table_name, op, table_pk, key_hash%s)', columns)
        || E'\n    VALUES (coalesce(capture.tx, (SELECT @schema@.open_transaction(capture.mark, capture.at))), capture.xid, capture.at,'
        || format(E'\n        %L, %L, %L, capture.pk, %s%s);', table_schema, table_name, op, hash, stored_values);
    IF op <> 'update' THEN
        RETURN script;
    END IF;
    RETURN format(E'\n    capture.differs := ARRAY[\n        %s];', array_to_string(differences, E',\n        '))
        || format(E'\n    IF true OPERATOR(pg_catalog.=) ANY (capture.differs) THEN%s\n    END IF;', script);
END $body$;
