-- Finding the newest changes that match: one function, because what is the right way depends on how many there are, which
-- has to be looked up; because planning a way over all partitions costs more than going it, so only the one that is taken
-- is planned; and because the partitions are walked one after the other, which a single plan would begin with all at once.
--
--   names       the recorded names of the tables that are meant, or NULL: [{table_schema, table_name, since, until}]
--   search      a condition on audit_transactions `t` with an index, or NULL
--   on_change   conditions on audit_changes `c`, in SQL; ($1)[n] is the nth of `params`
--   on_both     the same, and those on the transaction of `c`
--   since       nothing before it, or NULL; until: nothing after it, or NULL
-- The conditions are the client's SQL, run with the client's rights.
CREATE FUNCTION @schema@.find_changes(names jsonb, search text, on_change text, on_both text, params text[], since timestamptz, until timestamptz, most bigint)
RETURNS SETOF @schema@.audit_changes
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off AS $body$
DECLARE
    named text := (SELECT string_agg(format('(c.table_schema = %L AND c.table_name = %L AND c.captured_at <= %L AND c.captured_at > %L)',
            n.table_schema, n.table_name, n.until, n.since), ' OR ')
        FROM (SELECT DISTINCT r.* FROM jsonb_to_recordset(names) AS r (table_schema text, table_name text, since timestamptz, until timestamptz)) AS n);
    ids bigint[];
    newest record;
    low timestamptz := since;
    high timestamptz := until;
    window_start timestamptz;
    found_count bigint := 0;
    step_count bigint;
    few boolean;
BEGIN
    IF names IS NOT NULL THEN
        IF named IS NULL THEN
            RETURN;
        END IF;
        on_change := format('(%s) AND %s', named, on_change);
        on_both := format('(%s) AND %s', named, on_both);
    END IF;

    -- The changes of few transactions are found by their ids.
    IF search IS NOT NULL THEN
        EXECUTE format('SELECT array_agg(s.id) FROM (SELECT t.id FROM @schema@.audit_transactions AS t WHERE %s ORDER BY t.id DESC LIMIT 501) AS s', search)
            INTO ids USING params;
        IF coalesce(cardinality(ids), 0) <= 500 THEN
            RETURN QUERY EXECUTE format('SELECT c.* FROM (SELECT c.* FROM @schema@.audit_changes AS c WHERE c.transaction_id = ANY ($2) AND %s OFFSET 0) AS c
                ORDER BY c.captured_at DESC, c.id DESC LIMIT %s', on_change, most) USING params, ids;
            RETURN;
        END IF;
        SELECT t.id, t.occurred_at INTO newest FROM @schema@.audit_transactions t WHERE t.id = ids[1];
        high := least(high, @schema@.changes_end(newest.id, newest.occurred_at));
    END IF;

    -- Few changes of a table are found through the range of key hashes that it has.
    IF names IS NOT NULL THEN
        SELECT count(*) <= 2000 INTO few FROM (
            SELECT FROM (SELECT DISTINCT r.table_schema, r.table_name FROM jsonb_to_recordset(names) AS r (table_schema text, table_name text)) AS n
            CROSS JOIN LATERAL (SELECT FROM @schema@.audit_changes c WHERE c.key_hash BETWEEN @schema@.table_hash(n.table_schema, n.table_name)
                AND @schema@.table_hash(n.table_schema, n.table_name) + 4294967295 LIMIT 2001) AS c
            LIMIT 2001) AS s;
        IF few THEN
            RETURN QUERY EXECUTE format('SELECT c.* FROM (SELECT DISTINCT @schema@.table_hash(r.table_schema, r.table_name) AS hash FROM jsonb_to_recordset($2) AS r (table_schema text, table_name text)) AS n
                CROSS JOIN LATERAL (SELECT c.* FROM @schema@.audit_changes AS c WHERE c.key_hash BETWEEN n.hash AND n.hash + 4294967295 AND %s OFFSET 0) AS c
                ORDER BY c.captured_at DESC, c.id DESC LIMIT %s', on_both, most) USING params, names;
            RETURN;
        END IF;
    END IF;

    -- Many, by walking back in the order of the trail, month by month as the partitions are.
    low := coalesce(greatest(low, (SELECT min(c.captured_at) FROM @schema@.audit_changes c)), low);
    high := coalesce(least(high, (SELECT max(c.captured_at) FROM @schema@.audit_changes c)), high);
    WHILE high >= low AND found_count < most LOOP
        window_start := greatest(date_trunc('month', high), low);
        RETURN QUERY EXECUTE format('SELECT c.* FROM @schema@.audit_changes AS c WHERE c.captured_at >= %L AND c.captured_at <= %L AND %s ORDER BY c.captured_at DESC, c.id DESC LIMIT %s',
            window_start, high, on_both, most - found_count) USING params;
        GET DIAGNOSTICS step_count = ROW_COUNT;
        found_count := found_count + step_count;
        high := window_start - interval '1 microsecond';
    END LOOP;
END $body$;
