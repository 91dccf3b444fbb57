-- The statement that records the changes of one operation: the only place where rows become trail.

-- source  'transition'  the transition tables of a statement trigger
--         'row'         NEW and OLD of a row trigger; always fresh, capture_row makes the text for generated functions
-- fresh   false: text for a generated function; it speaks the function's variables and must survive columns that are
--         dropped, renamed or retyped later: of INSERT and DELETE each column has a stand-in, and has_shape switches the
--         whole statement off; of UPDATE the text is not even parsed before the shape was checked.
--         true: text for EXECUTE right now, with parameters $1 id of the audit transaction or NULL, $2 mark, $3 xid,
--         $4 instant, $5 NEW, $6 OLD.
CREATE FUNCTION @schema@.capture_statement(target regclass, op text, policy jsonb, table_schema text, table_name text,
    source text, fresh boolean, stem text DEFAULT NULL, single_row boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    lean boolean := policy ->> 'images' = 'lean';
    keys text[] := @schema@.key_columns(target);
    missing text := @schema@.missing_redacted(target, policy);
    image_fields text := '';      -- "name" expressions of the stored image
    stand_ins text := '';         -- NULLs that take the place of columns that vanish
    raw_old text := '';
    raw_new text := '';
    pairs text := '';             -- old, new and difference of every column
    any_difference text := '';
    -- o, n and d of every column stand in one target list, which holds 1664 entries: of a wider table they are written out.
    wide boolean := (SELECT count(*) FROM @schema@.table_columns(target)) > 500;
    old_value text;
    new_value text;
    difference text;
    name_parts jsonb := '{}';
    changed_names text;
    before_fields text := '';
    key_new text := '';
    key_old text := '';
    key_differs text := '';
    col record;
    n integer := 0;
    slot text := '';
    literal text;
    reference text;
    stored text;
    stored_old text;
    exact boolean := @schema@.sees_row_type(target);
    pinned text;
    mask_literal text := format('%L::pg_catalog.text', policy ->> 'mask_placeholder');
    new_prefix text := CASE source WHEN 'row' THEN '($5).' ELSE '' END;
    old_prefix text := CASE source WHEN 'row' THEN '($6).' ELSE '' END;
    from_new text := CASE source WHEN 'transition' THEN E'\n            FROM new_rows' ELSE '' END;
    from_old text := CASE source WHEN 'transition' THEN E'\n            FROM old_rows' ELSE '' END;
    lateral_open text := '';
    guard text := '';
    head text;
    image text;
    position_values text := CASE WHEN fresh
        THEN 'coalesce($1, (SELECT @schema@.open_transaction($2, $4))), $3, $4'
        ELSE 'coalesce(capture.tx, (SELECT @schema@.open_transaction(capture.mark, capture.at))), capture.xid, capture.at' END;
    withheld text := CASE WHEN missing IS NULL THEN 'NULL' ELSE format('%L', 'redacted column gone: ' || missing) END;
BEGIN
    FOR col IN SELECT * FROM @schema@.stored_columns(target, policy, fresh AND NOT exact)
    LOOP
        n := n + 1;
        slot := CASE WHEN n = 1 THEN '' ELSE ', ' END;
        literal := quote_literal(col.name);
        stand_ins := stand_ins || slot || format('NULL::pg_catalog.%I AS %I',
            CASE WHEN col.route IN ('text', 'checked text') THEN 'text' ELSE (SELECT typname FROM pg_type WHERE oid = @schema@.base_type(col.type_id)) END, col.name);
        reference := CASE WHEN op = 'delete' THEN old_prefix ELSE new_prefix END || quote_ident(col.name);
        IF fresh AND NOT exact AND col.route NOT IN ('text', 'checked text') THEN
            pinned := '@schema@.pin(%s, NULL::' || @schema@.type_name(col.type_id) || ')';
        ELSE
            pinned := '%s';
        END IF;
        IF op = 'update' THEN
            old_value := CASE WHEN wide THEN 'o.c' ELSE 'p.o' END || n;
            new_value := CASE WHEN wide THEN 'n.c' ELSE 'p.n' END || n;
            difference := @schema@.difference_expression('o.c' || n, 'n.c' || n, CASE WHEN pinned = '%s' THEN col.type_id END);
            stored := CASE WHEN col.masked THEN mask_literal ELSE @schema@.stored_expression(format(pinned, new_value), col.route) END;
            stored_old := CASE WHEN col.masked THEN mask_literal ELSE @schema@.stored_expression(format(pinned, old_value), col.route) END;
        ELSE
            stored := CASE WHEN col.masked THEN mask_literal ELSE @schema@.stored_expression(format(pinned, reference), col.route) END;
        END IF;
        -- A deleted row keeps what changed_from keeps.
        IF op <> 'delete' OR NOT col.excepted OR col.is_key THEN
            image_fields := image_fields || CASE WHEN image_fields = '' THEN '' ELSE E',\n            ' END || format('%s AS %I', stored, col.name);
        END IF;
        IF op = 'update' THEN
            raw_old := raw_old || slot || format('%s AS c%s', old_prefix || quote_ident(col.name), n);
            raw_new := raw_new || slot || format('%s AS c%s', new_prefix || quote_ident(col.name), n);
            pairs := pairs || slot || format(E'\n                o.c%1$s AS o%1$s, n.c%1$s AS n%1$s, %2$s AS d%1$s', n, difference);
            difference := CASE WHEN wide THEN format('(%s)', difference) ELSE 'p.d' || n END;
            any_difference := any_difference || CASE WHEN n = 1 THEN '' ELSE ' OR ' END || difference;
            IF NOT col.excepted THEN
                name_parts := name_parts || jsonb_build_object(col.name, format('CASE WHEN %s THEN %s END', difference, literal));
                before_fields := before_fields || format(E'\n            OPERATOR(pg_catalog.||) CASE WHEN %s THEN pg_catalog.jsonb_build_object(%s, %s) ELSE ''{}'' END', difference, literal, stored_old);
            END IF;
            IF col.is_key THEN
                key_new := key_new || CASE WHEN key_new = '' THEN '' ELSE ', ' END || format('%s, %s', literal, stored);
                key_old := key_old || CASE WHEN key_old = '' THEN '' ELSE ', ' END || format('%s, %s', literal, stored_old);
                key_differs := key_differs || CASE WHEN key_differs = '' THEN '' ELSE ' OR ' END || difference;
            END IF;
        ELSIF col.is_key THEN
            key_new := key_new || CASE WHEN key_new = '' THEN '' ELSE ', ' END || format('%s, i.%I', literal, col.name);
        END IF;
    END LOOP;
    key_new := CASE WHEN key_new = '' THEN 'NULL::pg_catalog.jsonb' ELSE format('pg_catalog.jsonb_build_object(%s)', key_new) END;
    key_old := CASE WHEN key_old = '' THEN 'NULL::pg_catalog.jsonb' ELSE format('CASE WHEN %s THEN pg_catalog.jsonb_build_object(%s) END', key_differs, key_old) END;
    changed_names := (SELECT string_agg(value, ', ' ORDER BY key COLLATE "C") FROM jsonb_each_text(name_parts));
    IF n = 0 THEN
        RETURN NULL;  -- nothing left to record
    END IF;
    IF NOT fresh AND source = 'transition' AND op <> 'update' THEN
        -- A column that is gone resolves one level further out, to its stand-in, so that the text still parses.
        lateral_open := format(E'(SELECT %s) AS absent\nCROSS JOIN LATERAL ', stand_ins);
        guard := format(E'\nWHERE @schema@.has_shape(%L, %L)', stem, @schema@.table_shape(target));
    END IF;
    head := format('INSERT INTO @schema@.audit_changes (transaction_id, xid, captured_at, table_schema, table_name, op, table_pk, key_hash%s)',
        CASE op WHEN 'insert' THEN ', data_after' WHEN 'delete' THEN ', changed_from' ELSE ', previous_pk, previous_key_hash, data_after, changed_fields, changed_from' END
        || CASE WHEN missing IS NULL THEN '' ELSE ', withheld' END);
    head := head || format(E'\nSELECT %s, %L, %L, %L, k.pk, %s', position_values, table_schema, table_name, op,
        @schema@.key_hash_expression(target, keys, 'k.pk', table_schema, table_name));

    IF op = 'update' THEN
        -- A lean table still keeps the whole row when its key changes: it is where the two histories are tied together.
        image := CASE WHEN missing IS NOT NULL THEN 'NULL::pg_catalog.jsonb'
                      WHEN lean THEN format('CASE WHEN %s THEN pg_catalog.to_jsonb(i.*) END', key_differs)
                      ELSE 'pg_catalog.to_jsonb(i.*)' END;
        RETURN head || format(E', k.previous_pk, CASE WHEN k.previous_pk IS NULL THEN NULL ELSE %s END, k.image, k.changed_fields, k.changed_from', @schema@.key_hash_expression(target, keys, 'k.previous_pk', table_schema, table_name))
            || CASE WHEN missing IS NULL THEN '' ELSE ', ' || withheld END
            || E'\nFROM ' || lateral_open || E'(\n    SELECT ' || key_new || ' AS pk, ' || key_old || ' AS previous_pk, ' || image || E' AS image,\n        '
            || CASE WHEN missing IS NOT NULL THEN 'NULL::pg_catalog.text[] AS changed_fields, NULL::pg_catalog.jsonb AS changed_from'
               ELSE format('pg_catalog.array_remove(ARRAY[%s]::pg_catalog.text[], NULL) AS changed_fields', coalesce(changed_names, ''))
                    || CASE WHEN policy -> 'before_values' = 'true' THEN E',\n        ''{}''::pg_catalog.jsonb' || before_fields || ' AS changed_from'
                            ELSE ', NULL::pg_catalog.jsonb AS changed_from' END END
            || CASE WHEN wide THEN E'\n    FROM (' ELSE E'\n    FROM (\n            SELECT ' || pairs || E'\n            FROM ' END
            -- Paired by position, never by key: a row that one statement updates twice would multiply in a key join.
            -- FULL JOIN cannot become a nested loop, whatever size the planner froze.
            || CASE WHEN source = 'row' THEN format('(SELECT %s) AS o CROSS JOIN (SELECT %s) AS n', raw_old, raw_new)
                    WHEN single_row THEN format(E'(SELECT %s%s) AS o CROSS JOIN (SELECT %s%s) AS n', raw_old, from_old, raw_new, from_new)
                    ELSE format(E'(SELECT pg_catalog.row_number() OVER () AS position, %s%s) AS o\n            FULL JOIN (SELECT pg_catalog.row_number() OVER () AS position, %s%s) AS n ON o.position OPERATOR(pg_catalog.=) n.position',
                                raw_old, from_old, raw_new, from_new) END
            || CASE WHEN wide THEN ')' ELSE E'\n            OFFSET 0\n        ) AS p' END
            || CASE WHEN missing IS NOT NULL THEN '' ELSE E'\n        CROSS JOIN LATERAL (SELECT\n            ' || image_fields || E'\n        ) AS i' END
            || E'\n    WHERE ' || any_difference
            || E'\n) AS k' || guard;
    END IF;
    image := CASE WHEN missing IS NOT NULL OR (lean AND op = 'insert') THEN 'NULL::pg_catalog.jsonb' ELSE 'pg_catalog.to_jsonb(i.*)' END;
    RETURN head || ', k.image' || CASE WHEN missing IS NULL THEN '' ELSE ', ' || withheld END
        || E'\nFROM ' || lateral_open || E'(\n    SELECT ' || key_new || ' AS pk, ' || image || E' AS image\n    FROM (\n        SELECT '
        || CASE WHEN image_fields = '' THEN 'NULL' ELSE image_fields END || CASE WHEN op = 'delete' THEN from_old ELSE from_new END
        || E'\n    ) AS i\n    OFFSET 0\n) AS k' || guard;
END $body$;
