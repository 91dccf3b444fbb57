-- From a table and a policy to the functions and triggers that capture it.

-- The body of one capture function, for 'insert', 'update' or 'delete' (statement level) or 'row'.
CREATE FUNCTION @schema@.capture_body(target regclass, op text, policy jsonb, table_schema text, table_name text, stem text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    ordered boolean := @schema@.order_need(target) <> 'no';
    row_level boolean := op = 'row';
    ops text[] := CASE WHEN op = 'row' THEN ARRAY['insert', 'update', 'delete'] ELSE ARRAY[op] END;
    transition text := CASE op WHEN 'delete' THEN 'old_rows' ELSE 'new_rows' END;
    declarations text := '';
    pin text := '';
    restore text := '';
    setting record;
    body text;
    each_op text;
    generic_statement text;
    column_checks text;
BEGIN
    FOR setting IN
        SELECT p.* FROM @schema@.pinned_settings() p
        WHERE p.setting IN (SELECT unnest(@schema@.type_settings(c.type_id)) FROM @schema@.table_columns(target) c WHERE NOT policy -> 'exclude' ? c.name)
        ORDER BY p.setting COLLATE "C"
    LOOP
        declarations := declarations || format(E'\n    %s pg_catalog.text := pg_catalog.current_setting(%L);', setting.variable, setting.setting);
        pin := pin || format(E'\n    IF NOT (%s) THEN\n        capture.ignored := pg_catalog.set_config(%L, %L, true);\n    END IF;',
            format(setting.suffices, 'capture.' || setting.variable), setting.setting, setting.pinned);
        restore := restore || format(E'\n    IF NOT (%s) THEN\n        capture.ignored := pg_catalog.set_config(%L, %s, true);\n    END IF;',
            format(setting.suffices, 'capture.' || setting.variable), setting.setting, 'capture.' || setting.variable);
    END LOOP;

    body := E'\n#variable_conflict use_column\n<<capture>>\nDECLARE'
        || E'\n    mark pg_catalog.text := pg_catalog.concat(pg_catalog.pg_current_xact_id()::pg_catalog.text, '' '', pg_catalog.hashtextextended(pg_catalog.concat('
        || E'\n        pg_catalog.current_setting(''threadline.actor_ref'', true), E''\\n'', pg_catalog.current_setting(''threadline.context'', true)), 0)::pg_catalog.text,'
        || E'\n        ''/'', pg_catalog.current_setting(' || quote_literal(@action_setting@) || ', true), '' '');'
        || E'\n    xid pg_catalog.xid8 := pg_catalog.pg_current_xact_id();'
        -- The first capture of a transaction has no other to come after.
        || E'\n    at pg_catalog.timestamptz := CASE WHEN pg_catalog.concat(pg_catalog.current_setting(''threadline.clock'', true)) OPERATOR(pg_catalog.=) '''' AND pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.<=) 1'
        || E'\n        THEN pg_catalog.clock_timestamp() ELSE @schema@.next_instant() END;'
        -- After the clock, which can end the state with the day.
        || E'\n    state pg_catalog.text := pg_catalog.current_setting(' || quote_literal(@tx_setting@) || ', true);'
        || E'\n    tx pg_catalog.int8 := CASE WHEN pg_catalog.starts_with(state, mark) THEN pg_catalog.split_part(state, '' '', 3)::pg_catalog.int8 END;'
        || E'\n    ignored pg_catalog.text;'
        || E'\n    count pg_catalog.int8;'
        || E'\n    altered pg_catalog.bool;'
        || E'\n    saved pg_catalog.jsonb;'
        || declarations
        || E'\nBEGIN';
    IF policy -> 'require_actor' = 'true' THEN
        body := body || E'\n    IF pg_catalog.concat(pg_catalog.current_setting(''threadline.actor_ref'', true)) OPERATOR(pg_catalog.=) '''''
            || CASE WHEN row_level THEN '' ELSE format(' AND EXISTS (SELECT FROM %s)', transition) END
            || format(E' THEN\n        PERFORM @schema@.refuse_missing_actor(%L, %L);\n    END IF;', table_schema, table_name);
    END IF;
    IF ordered THEN
        body := body || format(E'\n    capture.at := coalesce(@schema@.reserved_instant(TG_OP, %s), capture.at);', CASE WHEN row_level THEN 'true' ELSE 'false' END);
    END IF;
    IF row_level THEN
        -- Static text is safe only while every column has the type it was written for. First by the catalog, for the
        -- partitioned table, so that an altered one goes the generic way: once per statement where shape_begin could look,
        -- else for each row. Then by the types NEW and OLD really have, because a snapshot of the catalog can be older than
        -- the table.
        SELECT string_agg(CASE WHEN c.type_id < 16384
                THEN format('pg_catalog.pg_typeof(capture.changed_row.%I)::pg_catalog.oid OPERATOR(pg_catalog.=) %s', c.name, c.type_id)
                -- A type of the owner's by name and base: its number means nothing after a restore.
                ELSE format('coalesce(@schema@.type_label(pg_catalog.pg_typeof(capture.changed_row.%I)::pg_catalog.oid), '''') OPERATOR(pg_catalog.=) %L', c.name, @schema@.type_label(c.type_id)) END,
            E'\n            AND ' ORDER BY c.ordinal)
        INTO column_checks FROM @schema@.table_columns(target) c WHERE @schema@.type_route(c.type_id) <> 'text';
        body := replace(body, E'\nBEGIN', E'\n    pk pg_catalog.jsonb;\n    previous_pk pg_catalog.jsonb;\n    image pg_catalog.jsonb;\n    changed_fields pg_catalog.text[];\n    changed_from pg_catalog.jsonb;\n    differs pg_catalog.bool[];\n    changed_row pg_catalog.record;\n    root pg_catalog.oid := coalesce(pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid, TG_RELID);\nBEGIN');
        body := body || E'\n    IF TG_OP OPERATOR(pg_catalog.=) ''DELETE'' THEN\n        capture.changed_row := OLD;\n    ELSE\n        capture.changed_row := NEW;\n    END IF;'
            || E'\n    capture.altered := pg_catalog.concat(pg_catalog.current_setting(pg_catalog.concat(''threadline.shape_'', pg_catalog.pg_trigger_depth(), ''_'', capture.root), true)) OPERATOR(pg_catalog.<>) ''same'''
            || format(E'\n        AND NOT @schema@.has_columns(capture.root, TG_RELID, %L, %L);', @schema@.column_list(target), @schema@.table_shape(target))
            || CASE WHEN column_checks IS NULL THEN '' ELSE
               E'\n    IF NOT capture.altered THEN\n        capture.altered := NOT (' || column_checks || E');\n    END IF;' END;
    END IF;
    body := body || pin;
    FOREACH each_op IN ARRAY ops LOOP
        generic_statement := format(E'capture.saved := @schema@.pin_settings();\n        EXECUTE @schema@.capture_statement(TG_RELID, %L, %L, %L, %L, %L, true)\n            USING capture.tx, capture.mark, capture.xid, capture.at%s;\n        PERFORM @schema@.restore_settings(capture.saved);',
            each_op, policy, table_schema, table_name, CASE WHEN row_level THEN 'row' ELSE 'transition' END, CASE WHEN row_level THEN ', NEW, OLD' ELSE '' END);
        IF row_level THEN
            body := body || format(E'\n    %s TG_OP OPERATOR(pg_catalog.=) %L THEN\n    IF capture.altered THEN\n        %s\n    ELSE%s\n    END IF;',
                CASE WHEN each_op = 'insert' THEN 'IF' ELSE 'ELSIF' END, upper(each_op), generic_statement,
                @schema@.capture_row(target, each_op, policy, table_schema, table_name));
        ELSE
            IF each_op = 'update' THEN
                -- The shape is checked where the rows are counted, which has to be done anyway. One row is the common case
                -- and needs no pairing; the size of a transition table is not known to the planner, so the two cases
                -- have a statement each.
                body := body || format(E'\n    capture.count := (SELECT CASE WHEN @schema@.has_shape(%L, %L) THEN pg_catalog.count(*) ELSE -1 END FROM (SELECT FROM new_rows LIMIT 2) AS first_rows);', stem, @schema@.table_shape(target))
                    || E'\n    IF capture.count OPERATOR(pg_catalog.=) 1 THEN\n'
                    || @schema@.capture_statement(target, each_op, policy, table_schema, table_name, 'transition', false, stem, true)
                    || E';\n    ELSIF capture.count OPERATOR(pg_catalog.>) 1 THEN\n'
                    || @schema@.capture_statement(target, each_op, policy, table_schema, table_name, 'transition', false, stem, false)
                    || format(E';\n    ELSIF capture.count OPERATOR(pg_catalog.<) 0 THEN\n        %s\n    END IF;', generic_statement);
            ELSE
                body := body || E'\n' || @schema@.capture_statement(target, each_op, policy, table_schema, table_name, 'transition', false, stem)
                    || E';\n    GET DIAGNOSTICS capture.count = ROW_COUNT;'
                    -- Nothing recorded: no rows, or the table was altered since these functions were generated.
                    || format(E'\n    IF capture.count OPERATOR(pg_catalog.=) 0 THEN\n    capture.altered := (SELECT true FROM %s WHERE NOT @schema@.has_shape(%L, %L) LIMIT 1);\n    IF capture.altered THEN\n        %s\n    END IF;\n    END IF;',
                transition, stem, @schema@.table_shape(target), generic_statement);
            END IF;
        END IF;
    END LOOP;
    IF row_level THEN
        body := body || E'\n    END IF;';
    END IF;
    RETURN body || restore || E'\n    RETURN NULL;\nEND ';
END $body$;

-- TRUNCATE has no transition tables: recorded as one event after it, or refused before it, or (rows) turned into a DELETE
-- before it. That DELETE runs as the role that truncates: a definer function that read the table itself would have the
-- planner evaluate the owner's index expressions.
CREATE FUNCTION @schema@.truncate_body(policy jsonb, table_schema text, table_name text, stem text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    mode text := policy ->> 'truncate';
    token text := format(E'pg_catalog.concat(pg_catalog.pg_current_xact_id()::pg_catalog.text, '' '', %L)', stem);
    has_parts text := '(SELECT c.relkind FROM pg_catalog.pg_class AS c WHERE c.oid OPERATOR(pg_catalog.=) TG_RELID) OPERATOR(pg_catalog.=) ''p''';
    is_root text := 'pg_catalog.pg_partition_root(TG_RELID)::pg_catalog.oid OPERATOR(pg_catalog.=) TG_RELID';
BEGIN
    IF mode = 'rows' THEN
        RETURN E'\nDECLARE\n    session_row_security pg_catalog.text := pg_catalog.current_setting(''row_security'');\n    rows_left pg_catalog.bool;\nBEGIN'
            -- A policy that hides rows makes the DELETE fail instead of passing over them.
            || E'\n    PERFORM pg_catalog.set_config(''row_security'', ''off'', true);'
            || E'\n    EXECUTE pg_catalog.format(''DELETE FROM %s %I.%I'', CASE WHEN ' || has_parts || E' THEN '''' ELSE ''ONLY'' END, TG_TABLE_SCHEMA, TG_TABLE_NAME);'
            || E'\n    EXECUTE pg_catalog.format(''SELECT EXISTS (SELECT FROM %s %I.%I)'', CASE WHEN ' || has_parts || E' THEN '''' ELSE ''ONLY'' END, TG_TABLE_SCHEMA, TG_TABLE_NAME) INTO rows_left;'
            || E'\n    IF rows_left THEN'
            || E'\n        RAISE EXCEPTION ''threadline: TRUNCATE of % refused: rows remained after deleting them one by one, so they would go unrecorded'', pg_catalog.format(''%I.%I'', TG_TABLE_SCHEMA, TG_TABLE_NAME)'
            || E'\n            USING ERRCODE = ''TL007'', CONSTRAINT = ''threadline_truncate_refused'', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, HINT = ''A trigger of the table keeps or re-inserts rows: use DELETE, or set truncate to event or refuse in the capture policy.'';'
            || E'\n    END IF;'
            || E'\n    PERFORM pg_catalog.set_config(''row_security'', session_row_security, true);'
            || E'\n    RETURN NULL;\nEND ';
    END IF;
    RETURN E'\nBEGIN'
        || E'\n    IF TG_WHEN OPERATOR(pg_catalog.=) ''BEFORE'' THEN'
        || CASE WHEN mode = 'refuse' THEN '' ELSE
           -- A partition that goes with its parent is recorded by the parent.
           E'\n        IF ' || is_root || E' THEN\n            PERFORM pg_catalog.set_config(''threadline.truncating'', ' || token || E', true);\n            RETURN NULL;'
           || E'\n        ELSIF pg_catalog.current_setting(''threadline.truncating'', true) OPERATOR(pg_catalog.=) ' || token || E' THEN\n            RETURN NULL;\n        END IF;' END
        || format(E'\n        RAISE EXCEPTION ''threadline: TRUNCATE of %% refused: its policy %s'', pg_catalog.format(''%%I.%%I'', TG_TABLE_SCHEMA, TG_TABLE_NAME)\n            USING ERRCODE = ''TL007'', CONSTRAINT = ''threadline_truncate_refused'', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, HINT = %L;',
               CASE mode WHEN 'refuse' THEN 'refuses it' ELSE 'records one event for the whole table, which cannot describe a part of it' END,
               CASE mode WHEN 'refuse' THEN 'Use DELETE, or set truncate to event or rows in the capture policy.' ELSE 'Truncate the partitioned table, use DELETE, or set truncate to rows in the capture policy.' END)
        || E'\n    END IF;'
        || CASE WHEN policy -> 'require_actor' = 'true' THEN
            format(E'\n    IF pg_catalog.concat(pg_catalog.current_setting(''threadline.actor_ref'', true)) OPERATOR(pg_catalog.=) '''' THEN\n        PERFORM @schema@.refuse_missing_actor(%L, %L);\n    END IF;', table_schema, table_name)
           ELSE '' END
        || format(E'\n    PERFORM pg_catalog.set_config(''threadline.truncating'', '''', true);\n    INSERT INTO @schema@.audit_changes (transaction_id, xid, captured_at, table_schema, table_name, op, key_hash)\n    SELECT @schema@.open_transaction(@schema@.transaction_mark(), instant), pg_catalog.pg_current_xact_id(), instant, %L, %L, ''truncate'', %L::pg_catalog.int8\n    FROM (SELECT @schema@.next_instant() AS instant OFFSET 0) AS clock;\n    RETURN NULL;\nEND ', table_schema, table_name, @schema@.table_hash(table_schema, table_name));
END $body$;

-- A body as a literal: dollar-quoted for the reader, with a tag that no column or table name inside can close.
CREATE FUNCTION @schema@.quote_body(body text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    tag text := '$threadline$';
    n integer := 0;
BEGIN
    WHILE position(tag IN body) > 0 LOOP
        n := n + 1;
        tag := format('$threadline%s$', n);
    END LOOP;
    RETURN tag || body || tag;
END $body$;

-- The stem of the names of a table's capture functions: those it has, else one made from its name. Two tables never
-- share one, however long and alike their names are, and a renamed table keeps its own.
CREATE FUNCTION @schema@.capture_stem(target regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    stem text;
    base text;
    n integer := 1;
BEGIN
    SELECT a.function_stem INTO stem FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        JOIN @schema@.audited_tables a ON p.proname = ANY (ARRAY[a.function_stem || '_insert', a.function_stem || '_row'])
    WHERE t.tgrelid = target AND p.pronamespace = @schema_name@::regnamespace LIMIT 1;
    IF stem IS NOT NULL THEN
        RETURN stem;
    END IF;
    SELECT 'capture_' || left(regexp_replace(lower(c.relname), '[^a-z0-9]+', '_', 'g'), 24) || '_' || left(md5(concat(length(n.nspname), '.', n.nspname, '.', c.relname)), 12)
    INTO base FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    stem := base;
    -- Taken by a table that was renamed away: the next free name.
    WHILE EXISTS (SELECT FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid WHERE p.pronamespace = @schema_name@::regnamespace
                  AND p.proname = ANY (ARRAY[stem || '_insert', stem || '_row']) AND t.tgrelid <> target AND t.tgparentid = 0) LOOP
        n := n + 1;
        stem := base || '_' || n;
    END LOOP;
    RETURN stem;
END $body$;

-- The script that captures a table under a policy: what enable_capture runs.
CREATE FUNCTION @schema@.capture_plan(target regclass, policy jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET quote_all_identifiers = off AS $body$
DECLARE
    level text := @schema@.capture_level(target);
    complete jsonb := @schema@.complete_policy(target, policy);
    placed jsonb;
    stem text := @schema@.capture_stem(target);
    table_schema text;
    table_name text;
    label text;
    owner text := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE oid = @schema_name@::regnamespace);
    keys text[] := @schema@.key_columns(target);
    need text := @schema@.order_need(target);
    bodies text[] := '{}';
    body text;
    part text;
    script text;
    leaf record;
BEGIN
    SELECT n.nspname, c.relname INTO table_schema, table_name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    label := format('%I.%I', table_schema, table_name);
    script := E'-- Threadline capture, ' || level || ' level.' || E'\n'
        || CASE WHEN keys = '{}' THEN E'-- The table has no key: changes are captured with table_pk NULL, and a row cannot be followed.\n' ELSE '' END
        || CASE WHEN need = 'no' THEN '' ELSE E'-- The table has triggers of its own, or cascades into tables that have: order markers are installed.\n' END;
    IF complete -> 'exclude' <> '[]' OR complete -> 'mask' <> '[]' THEN
        -- Where the redacted columns stand now: known to the generated functions only, not part of the policy.
        placed := complete || jsonb_build_object('places', (SELECT jsonb_object_agg(a.attname, a.attnum) FROM pg_attribute a
            WHERE a.attrelid = target AND NOT a.attisdropped AND (complete -> 'exclude' ? a.attname OR complete -> 'mask' ? a.attname)));
    ELSE
        placed := complete;
    END IF;
    IF NOT has_schema_privilege(owner, (SELECT relnamespace FROM pg_class WHERE oid = target), 'USAGE') THEN
        -- Only to name the row type; it opens nothing in the schema.
        script := script || format(E'GRANT USAGE ON SCHEMA %I TO %I;\n', table_schema, owner);
    END IF;
    FOREACH part IN ARRAY CASE level WHEN 'row' THEN ARRAY['row'] ELSE ARRAY['insert', 'update', 'delete'] END || ARRAY['truncate'] LOOP
        body := CASE WHEN part = 'truncate' THEN @schema@.truncate_body(complete, table_schema, table_name, stem)
                     ELSE @schema@.capture_body(target, part, placed, table_schema, table_name, stem) END;
        bodies := bodies || body;
        script := script || format(E'\nCREATE OR REPLACE FUNCTION @schema@.%1$I() RETURNS pg_catalog.trigger LANGUAGE plpgsql SECURITY %4$s%5$s AS %2$s;\nREVOKE ALL ON FUNCTION @schema@.%1$I() FROM PUBLIC;\nALTER FUNCTION @schema@.%1$I() OWNER TO %3$I;\n',
            stem || '_' || part, @schema@.quote_body(body), owner,
            CASE WHEN part = 'truncate' AND complete ->> 'truncate' = 'rows' THEN 'INVOKER' ELSE 'DEFINER' END,
            -- The planner sees how many rows a transition table held when it planned, once per session. A plan made for a
            -- bulk statement must not be compiled for every single row after it, nor every single row be planned anew
            -- because the plan for many looks dear.
            CASE WHEN part = 'truncate' THEN '' ELSE ' SET jit = off SET plan_cache_mode = force_generic_plan' END);
    END LOOP;
    script := script || format(E'\nSELECT @schema@.drop_capture_triggers(%L::pg_catalog.regclass);\n', label);
    IF level = 'statement' THEN
        script := script || format(
            E'CREATE TRIGGER "00_@prefix@_insert" AFTER INSERT ON %1$s REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @schema@.%2$I();\n'
            'CREATE TRIGGER "00_@prefix@_update" AFTER UPDATE ON %1$s REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @schema@.%3$I();\n'
            'CREATE TRIGGER "00_@prefix@_delete" AFTER DELETE ON %1$s REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @schema@.%4$I();\n',
            label, stem || '_insert', stem || '_update', stem || '_delete');
    ELSE
        -- A leading space sorts before any other name: a row is captured before what its host triggers do.
        script := script || format(E'CREATE TRIGGER " 00_@prefix@_row" AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION @schema@.%I();\n', label, stem || '_row')
            || format(E'CREATE TRIGGER "00_@prefix@_shape_begin" BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.shape_begin(%L, %L);\n', label, @schema@.column_list(target), @schema@.table_shape(target))
            || format(E'CREATE TRIGGER "00_@prefix@_shape_end" AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.shape_end();\n', label);
    END IF;
    -- The root speaks for its partitions; each existing partition refuses or records a TRUNCATE of it alone.
    IF complete ->> 'truncate' = 'event' THEN
        script := script || format(E'CREATE TRIGGER "00_@prefix@_truncate" AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.%I();\n', label, stem || '_truncate');
    END IF;
    FOR leaf IN
        SELECT format('%I.%I', n.nspname, c.relname) AS label, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE (c.oid = target AND (complete ->> 'truncate' <> 'event' OR c.relkind = 'p'))
           OR (c.oid <> target AND c.oid IN (SELECT relid FROM pg_partition_tree(target)) AND c.relkind IN ('r', 'p'))
        ORDER BY 1
    LOOP
        script := script || format(E'CREATE TRIGGER "00_@prefix@_before_truncate" BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.%I();\n', leaf.label, stem || '_truncate');
    END LOOP;
    IF need <> 'no' THEN
        -- Statement triggers do not reach partitions that a statement names: each existing one has its own.
        FOR leaf IN
            SELECT format('%I.%I', n.nspname, c.relname) AS label, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = target OR (c.oid IN (SELECT relid FROM pg_partition_tree(target)) AND c.relkind IN ('r', 'p')) ORDER BY 1
        LOOP
            FOREACH part IN ARRAY ARRAY['INSERT', 'UPDATE', 'DELETE'] LOOP
                script := script || format(E'CREATE TRIGGER %I BEFORE %s ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.order_begin(%L, %L);\n', '~~_@prefix@_order_' || lower(part), part, leaf.label, need, level);
            END LOOP;
            IF level = 'row' THEN
                script := script || format(E'CREATE TRIGGER "~~_@prefix@_order_end" AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH STATEMENT EXECUTE FUNCTION @schema@.order_end();\n', leaf.label);
            END IF;
        END LOOP;
        IF need = 'wait' THEN
            -- A leading space sorts before any other name.
            script := script || format(E'CREATE TRIGGER " 00_@prefix@_order" AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION @schema@.order_rows();\n', label);
        END IF;
    END IF;
    RETURN script || format(E'SELECT @schema@.register_table(%L::pg_catalog.regclass, %L, %L, %L, %L, %L);\n',
        label, stem, complete, keys, level, md5(array_to_string(bodies, E'\n')));
END $body$;

CREATE FUNCTION @schema@.drop_capture_triggers(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry record;
BEGIN
    FOR entry IN
        SELECT t.tgname, format('%I.%I', n.nspname, c.relname) AS label
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE p.pronamespace = @schema_name@::regnamespace AND t.tgparentid = 0
          AND (t.tgrelid = target OR t.tgrelid IN (SELECT relid FROM pg_partition_tree(target)))
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', entry.tgname, entry.label);
    END LOOP;
END $body$;

CREATE FUNCTION @schema@.register_table(target regclass, stem text, policy jsonb, key_columns text[], level text, body_hash text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    new_schema text;
    new_name text;
    other record;
    entry_id integer;
BEGIN
    SELECT n.nspname, c.relname INTO new_schema, new_name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target;
    -- Another entry holds this name: its table was renamed (bring it up to date first) or dropped.
    FOR other IN SELECT a.id, a.function_stem FROM @schema@.audited_tables a
                 WHERE a.table_schema = new_schema AND a.table_name = new_name AND a.function_stem <> stem AND a.disabled_at IS NULL LOOP
        UPDATE @schema@.audited_tables a SET
            former_names = former_names || jsonb_build_array(jsonb_build_object('table_schema', a.table_schema, 'table_name', a.table_name, 'until', clock_timestamp())),
            table_schema = coalesce(now_named.nspname, a.table_schema), table_name = coalesce(now_named.relname, a.table_name),
            disabled_at = CASE WHEN now_named.relname IS NULL THEN clock_timestamp() END
        FROM (SELECT 1) AS one LEFT JOIN (
            SELECT n.nspname, c.relname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE p.pronamespace = @schema_name@::regnamespace AND t.tgparentid = 0
              AND p.proname = ANY (ARRAY[other.function_stem || '_insert', other.function_stem || '_row']) LIMIT 1) AS now_named ON true
        WHERE a.id = other.id;
    END LOOP;
    INSERT INTO @schema@.audited_tables AS a (table_schema, table_name, function_stem, policy, key_columns, level, kernel_version, body_hash)
    VALUES (new_schema, new_name, stem, policy, key_columns, level, (SELECT max(version) FROM @schema@.kernel_versions), body_hash)
    ON CONFLICT (function_stem) DO UPDATE SET
        former_names = CASE WHEN (a.table_schema, a.table_name) = (excluded.table_schema, excluded.table_name) THEN a.former_names
            ELSE a.former_names || jsonb_build_array(jsonb_build_object('table_schema', a.table_schema, 'table_name', a.table_name, 'until', clock_timestamp())) END,
        table_schema = excluded.table_schema, table_name = excluded.table_name, policy = excluded.policy, key_columns = excluded.key_columns,
        level = excluded.level, kernel_version = excluded.kernel_version, body_hash = excluded.body_hash,
        enabled_at = CASE WHEN a.disabled_at IS NULL THEN a.enabled_at ELSE clock_timestamp() END,
        refreshed_at = clock_timestamp(), disabled_at = NULL
    RETURNING a.id INTO entry_id;
    PERFORM @schema@.register_columns(entry_id, target, policy);
END $body$;

-- Writes down which columns the table has and how the policy treats them. What was so already stays as it is; what was
-- otherwise, or is gone, has ended.
CREATE FUNCTION @schema@.register_columns(entry_id integer, target regclass, policy jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    at timestamptz := clock_timestamp();
BEGIN
    WITH present AS MATERIALIZED (
        SELECT c.name, policy -> 'exclude' ? c.name AS excluded, policy -> 'except_columns' ? c.name AS excepted,
            CASE WHEN policy -> 'mask' ? c.name THEN policy ->> 'mask_placeholder' END AS mask_placeholder
        FROM @schema@.table_columns(target) c
    ), stays AS MATERIALIZED (
        SELECT k.id, k.name FROM @schema@.audited_columns k JOIN present p ON p.name = k.name
        WHERE k.audited_table = entry_id AND k.until IS NULL
          AND (k.excluded, k.excepted, k.mask_placeholder) IS NOT DISTINCT FROM (p.excluded, p.excepted, p.mask_placeholder)
    ), ended AS (
        UPDATE @schema@.audited_columns k SET until = at
        WHERE k.audited_table = entry_id AND k.until IS NULL AND k.id NOT IN (SELECT s.id FROM stays s)
    )
    INSERT INTO @schema@.audited_columns (audited_table, name, excluded, excepted, mask_placeholder, since)
    SELECT entry_id, p.name, p.excluded, p.excepted, p.mask_placeholder, at FROM present p
    WHERE p.name NOT IN (SELECT s.name FROM stays s)
    ORDER BY p.name COLLATE "C";
END $body$;

-- Captures a table under a policy, or changes the policy of a captured one. Returns the script it ran.
CREATE FUNCTION @schema@.enable_capture(target regclass, policy jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET client_min_messages = warning AS $body$
DECLARE
    script text;
BEGIN
    PERFORM @schema@.capture_level(target);
    -- The table must not change its shape between the look at it and the triggers.
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', target);
    script := @schema@.capture_plan(target, policy);
    EXECUTE script;
    RETURN script;
END $body$;

-- The entry of a captured table, found through its triggers, so that a rename or a restore does not lose it.
CREATE FUNCTION @schema@.captured_entry(target regclass) RETURNS @schema@.audited_tables
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry @schema@.audited_tables;
BEGIN
    SELECT a.* INTO entry FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        JOIN @schema@.audited_tables a ON p.proname = ANY (ARRAY[a.function_stem || '_insert', a.function_stem || '_row'])
    WHERE t.tgrelid = target AND p.pronamespace = @schema_name@::regnamespace LIMIT 1;
    IF entry.id IS NULL THEN
        PERFORM @schema@.refuse_policy('not_captured', format('table %s is not captured', target), 'Enable capture for it first.', target);
    END IF;
    RETURN entry;
END $body$;

-- Generates the functions of a captured table again, after its columns, key, triggers or name changed.
CREATE FUNCTION @schema@.refresh_capture(target regclass) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry @schema@.audited_tables := @schema@.captured_entry(target);
BEGIN
    RETURN @schema@.enable_capture(target, entry.policy);
END $body$;

-- Stops capturing a table. Its history stays.
CREATE FUNCTION @schema@.disable_capture(target regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry @schema@.audited_tables := @schema@.captured_entry(target);
    part text;
BEGIN
    PERFORM @schema@.drop_capture_triggers(target);
    FOREACH part IN ARRAY ARRAY['insert', 'update', 'delete', 'row', 'truncate'] LOOP
        EXECUTE format('DROP FUNCTION IF EXISTS @schema@.%I()', entry.function_stem || '_' || part);
    END LOOP;
    UPDATE @schema@.audited_tables SET disabled_at = clock_timestamp() WHERE id = entry.id;
END $body$;
