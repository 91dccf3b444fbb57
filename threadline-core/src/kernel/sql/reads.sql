-- Reading: the names a table had, the key of a row, and one row as it was. Plain functions with the caller's rights on the
-- trail. Reading one row back is a function because its plans are then made once per session, and only those that turn out
-- to be needed: planning a look-up over all partitions costs more than running it. A reader needs EXECUTE on all of them,
-- and on table_columns, sees_row_type, base_type, type_route and stored_expression.

-- The entry of a table as it is called today: the one that is captured, rather than a namesake that no longer is.
CREATE FUNCTION @schema@.table_entry(table_schema text, table_name text) RETURNS @schema@.audited_tables
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry @schema@.audited_tables;
BEGIN
    SELECT a.* INTO entry FROM @schema@.audited_tables a
    WHERE a.table_schema = table_entry.table_schema AND a.table_name = table_entry.table_name
    ORDER BY a.disabled_at IS NULL DESC, a.disabled_at DESC, a.id DESC LIMIT 1;
    RETURN entry;
END $body$;

-- The names under which the changes of a table were recorded, and when each was its own. `until`: a former name may be
-- another table's since. `since`: a name may have been another table's before, which took its history along to a new name.
-- Without a schema, of all tables that are called so; without a table, of all tables in the schema.
CREATE FUNCTION @schema@.recorded_names(of_schema text, of_table text)
RETURNS TABLE (table_schema text, table_name text, since timestamptz, until timestamptz)
LANGUAGE plpgsql STABLE ROWS 2 SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
BEGIN
    RETURN QUERY WITH entry AS (
        SELECT DISTINCT ON (a.table_schema, a.table_name) a.id, a.table_schema, a.table_name, a.former_names
        FROM @schema@.audited_tables a
        WHERE coalesce(a.table_name = of_table, true) AND coalesce(a.table_schema = of_schema, true)
        ORDER BY a.table_schema, a.table_name, a.disabled_at IS NULL DESC, a.disabled_at DESC, a.id DESC
    )
    SELECT n.table_schema, n.table_name, (
        SELECT coalesce(max((f ->> 'until')::timestamptz), '-infinity')
        FROM @schema@.audited_tables o CROSS JOIN LATERAL jsonb_array_elements(o.former_names) AS f
        WHERE o.id <> n.entry_id AND f ->> 'table_schema' = n.table_schema AND f ->> 'table_name' = n.table_name
          AND (o.table_schema, o.table_name) IS DISTINCT FROM (n.table_schema, n.table_name)
          AND (f ->> 'until')::timestamptz < n.until), n.until
    FROM (
        SELECT m.entry_id, m.table_schema, m.table_name, max(m.until) AS until
        FROM (
            SELECT e.id AS entry_id, e.table_schema, e.table_name, 'infinity'::timestamptz AS until FROM entry e
            UNION ALL
            SELECT e.id, f ->> 'table_schema', f ->> 'table_name', (f ->> 'until')::timestamptz
            FROM entry e CROSS JOIN LATERAL jsonb_array_elements(e.former_names) AS f
        ) AS m
        GROUP BY m.entry_id, m.table_schema, m.table_name
    ) AS n;
END $body$;

-- The key of a row as the trail holds it: an object of the key columns is one; the bare value of a key of one column
-- becomes one; NULL when the table has no such key.
CREATE FUNCTION @schema@.row_key(table_schema text, table_name text, key jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT CASE WHEN jsonb_typeof(key) = 'object' THEN key
        ELSE (SELECT jsonb_build_object(e.key_columns[1], key) FROM @schema@.table_entry(row_key.table_schema, row_key.table_name) AS e
              WHERE cardinality(e.key_columns) = 1) END
$body$;

-- What a read that found nothing tells about the table, so that the client can tell a wrong question from an empty answer. From
-- the catalog: the reader need not have any right on the table or its schema.
CREATE FUNCTION @schema@.table_facts(table_schema text, table_name text) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN (SELECT json_build_object('captured', e.id IS NOT NULL, 'key_columns', coalesce(to_json(e.key_columns), '[]'),
        'column_types', (
            SELECT coalesce(json_object_agg(k.name, t.typname), '{}')
            FROM unnest(e.key_columns) AS k (name)
            JOIN pg_namespace s ON s.nspname = table_facts.table_schema
            JOIN pg_class r ON r.relnamespace = s.oid AND r.relname = table_facts.table_name
            JOIN pg_attribute a ON a.attrelid = r.oid AND a.attname = k.name AND NOT a.attisdropped
            JOIN pg_type t ON t.oid = a.atttypid
            WHERE t.typnamespace = 'pg_catalog'::regnamespace))
    FROM @schema@.table_entry(table_facts.table_schema, table_facts.table_name) AS e);
END $body$;

-- The expressions that make the image of a live row `r` of a table, in the form in which capture stores it, and what to read
-- it from; NULL when the table is not captured.
CREATE FUNCTION @schema@.live_source(table_schema text, table_name text) RETURNS TABLE (image_fields text, relation text, target regclass, key_columns text[])
LANGUAGE plpgsql STABLE ROWS 1 SET search_path = pg_catalog, pg_temp AS $body$
#variable_conflict use_column
DECLARE
    entry @schema@.audited_tables := @schema@.table_entry(live_source.table_schema, live_source.table_name);
BEGIN
    target := to_regclass(format('%I.%I', live_source.table_schema, live_source.table_name));
    IF target IS NULL OR entry.id IS NULL OR entry.disabled_at IS NOT NULL OR entry.key_columns = '{}' THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%s AS %I', CASE WHEN entry.policy -> 'mask' ? c.name THEN format('%L::pg_catalog.text', entry.policy ->> 'mask_placeholder')
                                              ELSE @schema@.stored_expression(format('r.%I', c.name), @schema@.type_route(c.type_id)) END, c.name), ', ' ORDER BY c.name COLLATE "C")
    INTO image_fields FROM @schema@.table_columns(target) c WHERE NOT entry.policy -> 'exclude' ? c.name;
    relation := CASE WHEN (SELECT c.relkind FROM pg_class c WHERE c.oid = target) = 'p' THEN '' ELSE 'ONLY ' END || target;
    key_columns := entry.key_columns;
    RETURN NEXT;
END $body$;

-- The query that makes the image of the live row of a table whose key is $1 (jsonb).
CREATE FUNCTION @schema@.live_image_query(table_schema text, table_name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN (SELECT format('SELECT to_jsonb(i.*) FROM (SELECT %s FROM jsonb_populate_record(NULL::%s, $1) AS k JOIN %s AS r ON %s) AS i LIMIT 1',
            s.image_fields, s.target, s.relation, (SELECT string_agg(format('r.%1$I = k.%1$I', key_column), ' AND ') FROM unnest(s.key_columns) AS key_column))
        FROM @schema@.live_source(live_image_query.table_schema, live_image_query.table_name) AS s);
END $body$;

-- The query that makes the images of all live rows of a table, with their keys.
CREATE FUNCTION @schema@.live_images_query(table_schema text, table_name text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RETURN (SELECT format('SELECT jsonb_build_object(%s), m.image FROM (SELECT to_jsonb(i.*) AS image FROM (SELECT %s FROM %s AS r) AS i) AS m',
            (SELECT string_agg(format('%1$L, m.image -> %1$L', key_column), ', ') FROM unnest(s.key_columns) AS key_column), s.image_fields, s.relation)
        FROM @schema@.live_source(live_images_query.table_schema, live_images_query.table_name) AS s);
END $body$;

-- Runs with the caller's rights: who may not read the table may not read its rows here. The settings are those capture
-- pins.
CREATE FUNCTION @schema@.live_image(table_schema text, table_name text, key jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET quote_all_identifiers = 'off' SET lc_monetary = 'C' AS $body$
DECLARE
    query text := @schema@.live_image_query(table_schema, table_name);
    image jsonb;
BEGIN
    IF query IS NOT NULL AND key IS NOT NULL THEN
        EXECUTE query INTO image USING key;
    END IF;
    RETURN image;
EXCEPTION WHEN data_exception OR integrity_constraint_violation THEN
    -- A key that is no value of the columns' types, such as 'seven' of a bigint, is no row's; table_facts tells why.
    RETURN NULL;
END $body$;

-- The changes that touch a key before one position: those that left the row at it, those that took it to another key, and
-- TRUNCATEs of its table. The newest `most` are among them, for the caller to sort: the index holds no more order than
-- captured_at. The trail is looked through in stretches, newest first, because each partition in reach costs, whether it has
-- anything or not; departures and TRUNCATEs only as far back as the key's own changes went. Without sorting (and just-in-time
-- compilation), because the planner takes every key for a rarely changed one and would rather read and sort all the changes
-- of a busy row.
CREATE FUNCTION @schema@.row_changes_before(of_schema text, of_table text, key jsonb, before_at timestamptz, before_id bigint, most bigint)
RETURNS SETOF @schema@.audit_changes
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $body$
DECLARE
    name record;
    hash bigint;
    table_hash bigint;
    high timestamptz;
    low timestamptz;
    stretch_end timestamptz;
    recent timestamptz;
    found_count bigint;
    change @schema@.audit_changes;
BEGIN
    FOR name IN SELECT * FROM @schema@.recorded_names(of_schema, of_table) LOOP
        hash := @schema@.key_hash(name.table_schema, name.table_name, key);
        table_hash := @schema@.table_hash(name.table_schema, name.table_name);
        high := least(before_at, name.until);
        stretch_end := high;
        recent := least(high, now());
        low := date_trunc('month', recent);
        found_count := 0;
        LOOP
            FOR change IN SELECT x.* FROM @schema@.audit_changes x
                WHERE x.key_hash = hash AND x.table_pk = key
                  AND x.table_schema = name.table_schema AND x.table_name = name.table_name AND x.captured_at > name.since
                  AND (x.captured_at < before_at OR x.id < before_id) AND x.captured_at >= low AND x.captured_at <= stretch_end
                ORDER BY x.captured_at DESC FETCH FIRST (most) ROWS WITH TIES
            LOOP
                found_count := found_count + 1;
                RETURN NEXT change;
            END LOOP;
            IF found_count >= most THEN
                low := change.captured_at;
            END IF;
            EXIT WHEN found_count >= most OR low <= name.since OR low = '-infinity';
            stretch_end := low - interval '1 microsecond';
            low := CASE WHEN stretch_end < recent - interval '2 months' THEN '-infinity' ELSE low - interval '3 months' END;
        END LOOP;
        RETURN QUERY SELECT x.* FROM @schema@.audit_changes x
            WHERE x.previous_key_hash = hash AND x.previous_pk = key AND x.table_pk <> key
              AND x.table_schema = name.table_schema AND x.table_name = name.table_name AND x.captured_at > name.since
              AND (x.captured_at < before_at OR x.id < before_id) AND x.captured_at >= low AND x.captured_at <= high
            ORDER BY x.captured_at DESC FETCH FIRST (most) ROWS WITH TIES;
        RETURN QUERY SELECT x.* FROM @schema@.audit_changes x
            WHERE x.key_hash = table_hash AND x.op = 'truncate'
              AND x.table_schema = name.table_schema AND x.table_name = name.table_name AND x.captured_at > name.since
              AND (x.captured_at < before_at OR x.id < before_id) AND x.captured_at >= low AND x.captured_at <= high
            ORDER BY x.captured_at DESC FETCH FIRST (most) ROWS WITH TIES;
    END LOOP;
END $body$;

-- The same after one position, oldest first.
CREATE FUNCTION @schema@.row_changes_after(of_schema text, of_table text, key jsonb, after_at timestamptz, after_id bigint, most bigint)
RETURNS SETOF @schema@.audit_changes
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET enable_sort = off SET jit = off
SET plan_cache_mode = force_generic_plan AS $body$
DECLARE
    name record;
    hash bigint;
    table_hash bigint;
    low timestamptz;
    high timestamptz;
    stretch_start timestamptz;
    found_count bigint;
    change @schema@.audit_changes;
BEGIN
    FOR name IN SELECT * FROM @schema@.recorded_names(of_schema, of_table) LOOP
        hash := @schema@.key_hash(name.table_schema, name.table_name, key);
        table_hash := @schema@.table_hash(name.table_schema, name.table_name);
        low := greatest(after_at, name.since);
        stretch_start := low;
        high := CASE WHEN low >= date_trunc('month', now()) THEN 'infinity'
            ELSE date_trunc('month', low) + interval '1 month' - interval '1 microsecond' END;
        found_count := 0;
        LOOP
            FOR change IN SELECT x.* FROM @schema@.audit_changes x
                WHERE x.key_hash = hash AND x.table_pk = key
                  AND x.table_schema = name.table_schema AND x.table_name = name.table_name
                  AND x.captured_at <= name.until AND x.captured_at > name.since
                  AND (x.captured_at > after_at OR x.id > after_id) AND x.captured_at >= stretch_start AND x.captured_at <= high
                ORDER BY x.captured_at FETCH FIRST (most) ROWS WITH TIES
            LOOP
                found_count := found_count + 1;
                RETURN NEXT change;
            END LOOP;
            IF found_count >= most THEN
                high := change.captured_at;
            END IF;
            EXIT WHEN found_count >= most OR high >= name.until OR high = 'infinity';
            stretch_start := high + interval '1 microsecond';
            high := CASE WHEN stretch_start > low + interval '2 months' THEN 'infinity' ELSE high + interval '3 months' END;
        END LOOP;
        RETURN QUERY SELECT x.* FROM @schema@.audit_changes x
            WHERE x.previous_key_hash = hash AND x.previous_pk = key AND x.table_pk <> key
              AND x.table_schema = name.table_schema AND x.table_name = name.table_name
              AND x.captured_at <= name.until AND x.captured_at > name.since
              AND (x.captured_at > after_at OR x.id > after_id) AND x.captured_at >= low AND x.captured_at <= high
            ORDER BY x.captured_at FETCH FIRST (most) ROWS WITH TIES;
        RETURN QUERY SELECT x.* FROM @schema@.audit_changes x
            WHERE x.key_hash = table_hash AND x.op = 'truncate'
              AND x.table_schema = name.table_schema AND x.table_name = name.table_name
              AND x.captured_at <= name.until AND x.captured_at > name.since
              AND (x.captured_at > after_at OR x.id > after_id) AND x.captured_at >= low AND x.captured_at <= high
            ORDER BY x.captured_at FETCH FIRST (most) ROWS WITH TIES;
    END LOOP;
END $body$;

-- Everything that tells which row held a key at an instant; the client draws the conclusion (threadline-core, AsOf).
-- `key` is an object of the key columns, or the bare value of a key of one column. A change is told with what it did to
-- the key: `departs`, a row left it; `arrives`, a row came to it.
--   facts       what the table looks like, when nothing was found but TRUNCATEs
--   enabled_at  since when it is captured
--   before      the last change of the key at or before the instant; the last 32 when a row left the key in it
--   after       when that does not tell the row: the first changes after the instant up to one that tells a whole row;
--               updates in a row that keep no image are told as one, with the values from before the first
--   live        when no change does: the row as it is now, which takes the right to read the table
CREATE FUNCTION @schema@.row_evidence(table_schema text, table_name text, key jsonb, at timestamptz) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry @schema@.audited_tables := @schema@.table_entry(table_schema, table_name);
    wanted jsonb := CASE WHEN jsonb_typeof(key) = 'object' THEN key
        WHEN cardinality(entry.key_columns) = 1 THEN jsonb_build_object(entry.key_columns[1], key) END;
BEGIN
    RETURN @schema@.evidence_of(entry, table_schema, table_name, wanted, at, false, NULL, false, false);
END $body$;

-- The same of a key that is an object. With `live_known` the row as it is now is given in `live`; `untouched` says that no
-- change has touched it since, and `nothing_before` that none had by then.
CREATE FUNCTION @schema@.evidence_of(entry @schema@.audited_tables, table_schema text, table_name text, wanted jsonb, at timestamptz,
    live_known boolean, live jsonb, untouched boolean, nothing_before boolean) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $body$
DECLARE
    touch @schema@.audit_changes;
    departs boolean;
    arrives boolean;
    told boolean;
    before json[] := '{}';
    after json[] := '{}';
    undone jsonb;               -- the values from before the updates that are told as one,
    undone_xid xid8;            -- and the transaction of the last of them
    settled boolean := false;
    stopped boolean := false;
    arrived boolean := false;
    known boolean := false;
    newest boolean;
    most bigint;
    position_at timestamptz := at;
    position_id bigint := 9223372036854775807;
    batch_count bigint;
    facts json;
BEGIN
    IF entry.id IS NOT NULL AND wanted IS NOT NULL THEN
        FOREACH most IN ARRAY CASE WHEN nothing_before THEN '{}' ELSE ARRAY[1, 32] END LOOP
            before := '{}';
            newest := true;
            FOR touch IN SELECT c.* FROM @schema@.row_changes_before(entry.table_schema, entry.table_name, wanted, at, 9223372036854775807, most) AS c
                ORDER BY c.captured_at DESC, c.id DESC LIMIT most
            LOOP
                departs := touch.op = 'delete' OR coalesce(touch.previous_pk = wanted AND touch.table_pk <> wanted, false);
                arrives := touch.op = 'insert' OR coalesce(touch.previous_pk <> wanted AND touch.table_pk = wanted, false);
                known := known OR touch.op <> 'truncate';
                IF newest THEN
                    settled := touch.op = 'truncate' OR departs OR touch.data_after IS NOT NULL OR touch.withheld IS NOT NULL;
                    told := NOT (touch.op = 'truncate' OR departs);
                    newest := false;
                ELSIF arrives AND touch.data_after IS NULL THEN
                    settled := false;
                END IF;
                before := json_build_object('xid', touch.xid::text, 'op', touch.op, 'departs', departs, 'arrives', arrives,
                    'table_pk', touch.table_pk, 'data_after', touch.data_after, 'changed_from', touch.changed_from,
                    'withheld', touch.withheld IS NOT NULL) || before;
            END LOOP;
            EXIT WHEN newest OR told;
        END LOOP;

        batch_count := 16;
        WHILE NOT settled AND NOT stopped AND NOT untouched LOOP
            most := least(batch_count * 4, 1024);
            batch_count := 0;
            FOR touch IN SELECT c.* FROM @schema@.row_changes_after(entry.table_schema, entry.table_name, wanted, position_at, position_id, most) AS c
                ORDER BY c.captured_at, c.id LIMIT most
            LOOP
                departs := touch.op = 'delete' OR coalesce(touch.previous_pk = wanted AND touch.table_pk <> wanted, false);
                arrives := touch.op = 'insert' OR coalesce(touch.previous_pk <> wanted AND touch.table_pk = wanted, false);
                known := known OR touch.op <> 'truncate';
                batch_count := batch_count + 1;
                position_at := touch.captured_at;
                position_id := touch.id;
                IF touch.op = 'update' AND NOT departs AND NOT arrives AND NOT arrived AND touch.data_after IS NULL
                   AND touch.changed_from IS NOT NULL AND touch.withheld IS NULL THEN
                    undone := touch.changed_from || coalesce(undone, '{}');
                    undone_xid := touch.xid;
                    CONTINUE;
                END IF;
                IF undone IS NOT NULL THEN
                    after := after || json_build_object('xid', undone_xid::text, 'op', 'update', 'departs', false, 'arrives', false,
                        'changed_from', undone, 'withheld', false);
                    undone := NULL;
                END IF;
                after := after || json_build_object('xid', touch.xid::text, 'op', touch.op, 'departs', departs, 'arrives', arrives,
                    'table_pk', touch.table_pk, 'data_after', touch.data_after, 'changed_from', touch.changed_from,
                    'withheld', touch.withheld IS NOT NULL);
                arrived := arrived OR arrives;
                -- A row that came tells nothing about the one that was there.
                stopped := touch.op = 'truncate' OR departs OR (NOT arrives AND touch.data_after IS NOT NULL);
                EXIT WHEN stopped;
            END LOOP;
            EXIT WHEN batch_count < most;
        END LOOP;
        IF undone IS NOT NULL THEN
            after := after || json_build_object('xid', undone_xid::text, 'op', 'update', 'departs', false, 'arrives', false,
                'changed_from', undone, 'withheld', false);
        END IF;
        IF NOT settled AND NOT stopped AND NOT arrived AND (cardinality(before) > 0 OR entry.enabled_at <= at) THEN
            IF NOT live_known THEN
                live := @schema@.live_image(table_schema, table_name, wanted);
            END IF;
            -- A key that only becomes the row's when it is converted, such as "7" for 7, is another one in the trail.
            IF wanted IS DISTINCT FROM (SELECT jsonb_object_agg(k, live -> k) FROM unnest(entry.key_columns) AS k) THEN
                live := NULL;
            END IF;
        END IF;
    END IF;

    IF live IS NULL AND NOT known AND NOT live_known THEN
        facts := @schema@.table_facts(table_schema, table_name);
    END IF;
    RETURN json_build_object('facts', facts, 'enabled_at', to_char(entry.enabled_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'before', array_to_json(before), 'after', array_to_json(after), 'live', live);
END $body$;

-- For people in psql: each change with who and why. Both joins are outer ones: a change is told although its transaction or
-- its action expired. actor_type and actor_id are the expressions of the index on actors, key_hash that of keys.
CREATE VIEW @schema@.linked_changes AS
SELECT c.id AS change_id, c.captured_at, c.op, c.table_schema, c.table_name, c.table_pk, c.previous_pk,
    c.changed_fields, c.changed_from, c.data_after, c.withheld,
    c.transaction_id, t.occurred_at, t.actor_ref, t.actor_ref ->> 'type' AS actor_type, t.actor_ref ->> 'id' AS actor_id,
    t.correlation_id, t.request_id, t.job_id, t.source, t.remote_ip, t.meta,
    t.session_role, t.current_role_name, t.application_name,
    t.action_id, a.name AS action_name, a.status AS action_status, a.verb, a.category, a.reason, a.comment,
    a.actor_ref AS action_actor_ref, a.correlation_id AS action_correlation_id, a.recorded_at,
    c.xid, c.key_hash, c.previous_key_hash
FROM @schema@.audit_changes c
LEFT JOIN @schema@.audit_transactions t ON t.id = c.transaction_id
LEFT JOIN @schema@.audit_actions a ON a.id = t.action_id;
