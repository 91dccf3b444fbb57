-- The audit transactions with these ids, of changes captured from `since` to `until`. They are looked for in the months around
-- first: planning a look-up over all partitions costs more than running it.
CREATE FUNCTION @schema@.find_transactions(ids bigint[], since timestamptz, until timestamptz)
RETURNS SETOF @schema@.audit_transactions
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET jit = off SET enable_seqscan = off AS $body$
DECLARE
    found_count bigint;
BEGIN
    -- An array look-up, never a join that could turn into a scan of all transactions.
    RETURN QUERY EXECUTE 'SELECT t.* FROM @schema@.audit_transactions AS t WHERE t.id = ANY ($1) AND t.occurred_at BETWEEN $2 AND $3'
        USING ids, since - interval '1 day', until + interval '1 day';
    GET DIAGNOSTICS found_count = ROW_COUNT;
    -- Expired, most likely.
    IF found_count < cardinality(ids) THEN
        RETURN QUERY EXECUTE 'SELECT t.* FROM @schema@.audit_transactions AS t WHERE t.id = ANY ($1) AND NOT t.occurred_at BETWEEN $2 AND $3'
            USING ids, since - interval '1 day', until + interval '1 day';
    END IF;
END $body$;

-- Finding the newest changes that match: one function, because what is the right way depends on how many there are, which
-- has to be looked up; because planning a way over all partitions costs more than going it, so only the one that is taken
-- is planned; and because the partitions are walked one after the other, which a single plan would begin with all at once.
--
--   names       the recorded names of the tables that are meant, or NULL: [{table_schema, table_name, since, until}]
--   search      a query of transactions, rows (id, at), newest first, that an index has in this order: those from $2 to $3,
--               at most $4; or NULL. A row without an id stands for none, but counts. $5 and $6 are a day further out
--   on_change   conditions on audit_changes `c`, in SQL; ($1)[n] is the nth of `params`
--   on_both     the same, and those on the transaction of `c`, which lies between $2 and $3
--   since       nothing before it, or NULL; until: nothing after it, or NULL
-- The conditions are the client's SQL, run with the client's rights.
CREATE FUNCTION @schema@.find_changes(names jsonb, search text, on_change text, on_both text, params text[], since timestamptz, until timestamptz, most bigint)
RETURNS SETOF @schema@.audit_changes
LANGUAGE plpgsql STABLE ROWS 50 SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_seqscan = off
SET plan_cache_mode = force_generic_plan AS $body$
DECLARE
    -- A bound that is none would only be planned with.
    named text := (SELECT string_agg(format('(c.table_schema = %L AND c.table_name = %L%s%s)', n.table_schema, n.table_name,
            CASE WHEN n.until < 'infinity' THEN format(' AND c.captured_at <= %L', n.until) END,
            CASE WHEN n.since > '-infinity' THEN format(' AND c.captured_at > %L', n.since) END), ' OR ')
        FROM (SELECT DISTINCT r.* FROM jsonb_to_recordset(names) AS r (table_schema text, table_name text, since timestamptz, until timestamptz)) AS n);
    -- The ranges of key hashes that the tables have.
    in_tables text := (SELECT string_agg(format('c.key_hash BETWEEN %s AND %s', n.hash, n.hash + 4294967295), ' OR ')
        FROM (SELECT DISTINCT @schema@.table_hash(r.table_schema, r.table_name) AS hash FROM jsonb_to_recordset(names) AS r (table_schema text, table_name text)) AS n);
    -- Everything after `high` was found.
    high timestamptz := until;
    -- Everything after `lap` is found next.
    lap timestamptz;
    low timestamptz := coalesce(since - interval '1 microsecond', '-infinity');
    left_over bigint := most;
    step_count bigint;
    batch bigint := 64;
    most_ids bigint;
    -- Whether the transactions are looked for in the last weeks only: planning that costs a fraction.
    recent boolean := search LIKE '%$2%';
    is_bounded boolean := recent;
    oldest timestamptz;
    ids bigint[];
    times timestamptz[];
    used integer;
    is_all boolean;
    is_enough boolean;
    few boolean := false;
    ends boolean := false;
    rows @schema@.audit_changes[];
BEGIN
    IF high IS NULL OR high > clock_timestamp() THEN
        -- The newest is of this month, as a rule.
        lap := date_trunc('month', clock_timestamp());
        lap := (SELECT max(c.captured_at) FROM @schema@.audit_changes c WHERE c.captured_at >= lap);
        IF lap IS NULL THEN
            lap := (SELECT max(c.captured_at) FROM @schema@.audit_changes c);
        END IF;
        high := least(high, lap);
    END IF;
    IF names IS NOT NULL THEN
        IF named IS NULL THEN
            RETURN;
        END IF;
        on_change := format('(%s) AND %s', named, on_change);
        on_both := format('(%s) AND %s', named, on_both);
        -- Few changes of a table are found through the key hashes, unless there are few transactions.
        EXECUTE format('SELECT count(*) <= 2000 FROM (SELECT FROM @schema@.audit_changes c WHERE %s LIMIT 2001) AS s', in_tables) INTO few;
    END IF;

    -- The changes of few transactions are found by their ids, and so are those of many as long as they are scattered over
    -- time: the newest transactions first. The changes that lie after `lap` belong to those only: others began earlier, and
    -- no audit transaction goes on for longer than a day (see close_day).
    WHILE search IS NOT NULL AND left_over > 0 AND high > low LOOP
        oldest := CASE WHEN recent THEN greatest(low - interval '2 days', date_trunc('month', high - interval '7 days')) ELSE low - interval '2 days' END;
        EXECUTE format('SELECT array_agg(s.id), array_agg(s.at) FROM (%s) AS s', search) INTO ids, times
            USING params, oldest, high + interval '1 day', batch, oldest - interval '1 day', high + interval '2 days';
        used := coalesce(cardinality(ids), 0);
        is_all := used < batch;
        IF is_all AND recent THEN
            recent := false;
            CONTINUE WHEN oldest > low - interval '2 days';
        END IF;
        EXIT WHEN few AND NOT is_all;
        -- The newest of many may have begun long before.
        IF NOT is_all AND times[1] + interval '1 day' < high THEN
            high := times[1] + interval '1 day';
            recent := is_bounded;
        END IF;
        LOOP
            lap := CASE WHEN is_all THEN low ELSE greatest(low, times[used] + greatest(interval '1 day', (times[1] - times[used]) / 2)) END;
            is_enough := lap < CASE WHEN is_all THEN high ELSE least(high, times[1]) END;
            EXIT WHEN NOT is_enough;
            -- Of one or two transactions, however large, the newest; of more, all, unless they turn out to be large.
            EXECUTE format('SELECT array_agg(s.c) FROM (SELECT c FROM @schema@.audit_changes AS c WHERE c.transaction_id = ANY ($2) AND c.captured_at >= %L AND c.captured_at > %L AND c.captured_at <= %L AND %s %s) AS s (c)',
                times[used] - interval '1 day', lap, high, on_change,
                CASE WHEN used <= 2 THEN format('ORDER BY c.captured_at DESC, c.id DESC LIMIT %s', left_over) ELSE 'LIMIT 2001' END)
                INTO rows USING params, ids[1:used];
            EXIT WHEN used <= 2 OR coalesce(cardinality(rows), 0) <= 2000;
            used := greatest(used / 8, 2);
            is_all := false;
        END LOOP;
        -- Where the newest of them began long before `high`, there is little in between, which is better not walked through.
        most_ids := CASE WHEN times[1] + interval '1 hour' < high THEN 1024 ELSE 256 END;
        IF is_enough THEN
            RETURN QUERY SELECT r.* FROM unnest(rows) AS r ORDER BY r.captured_at DESC, r.id DESC LIMIT left_over;
            GET DIAGNOSTICS step_count = ROW_COUNT;
            batch := least(batch * 2, 512);
        ELSIF used = batch AND batch < most_ids AND (times[1] - times[used]) * (most_ids / batch) > interval '1 day' THEN
            batch := most_ids;
            CONTINUE;
        ELSE
            -- Many in a short time: this time is walked through.
            lap := greatest(low, least(times[used], high - greatest(times[1] - times[used], interval '1 microsecond')));
            RETURN QUERY EXECUTE format('SELECT c.* FROM @schema@.audit_changes AS c WHERE c.captured_at > %L AND c.captured_at <= %L AND %s ORDER BY c.captured_at DESC, c.id DESC LIMIT %s',
                lap, high, on_both, left_over) USING params, lap - interval '1 day', high + interval '1 day';
            GET DIAGNOSTICS step_count = ROW_COUNT;
            batch := least(batch * 2, 16384);
        END IF;
        left_over := left_over - step_count;
        high := lap;
    END LOOP;
    IF search IS NOT NULL AND NOT few THEN
        RETURN;
    END IF;

    IF few AND left_over > 0 AND high >= low THEN
        RETURN QUERY EXECUTE format('SELECT c.* FROM (SELECT c.* FROM @schema@.audit_changes AS c WHERE (%s) AND %s OFFSET 0) AS c
            WHERE c.captured_at >= %L AND c.captured_at <= %L ORDER BY c.captured_at DESC, c.id DESC LIMIT %s', in_tables, on_both, low, high, left_over)
            USING params, low - interval '1 day', high + interval '1 day';
        RETURN;
    END IF;

    -- Many, by walking back in the order of the trail, month by month as the partitions are.
    WHILE high >= low AND left_over > 0 LOOP
        lap := greatest(date_trunc('month', high), low);
        IF names IS NOT NULL THEN
            EXECUTE format('SELECT count(*) <= 2000 FROM (SELECT FROM @schema@.audit_changes c WHERE (%s) AND c.captured_at >= %L AND c.captured_at <= %L LIMIT 2001) AS s', in_tables, lap, high) INTO few;
        END IF;
        RETURN QUERY EXECUTE format(CASE WHEN few
                THEN 'SELECT c.* FROM (SELECT c.* FROM @schema@.audit_changes AS c WHERE c.captured_at >= %1$L AND c.captured_at <= %2$L AND (%5$s) AND %3$s OFFSET 0) AS c ORDER BY c.captured_at DESC, c.id DESC LIMIT %4$s'
                ELSE 'SELECT c.* FROM @schema@.audit_changes AS c WHERE c.captured_at >= %1$L AND c.captured_at <= %2$L AND %3$s ORDER BY c.captured_at DESC, c.id DESC LIMIT %4$s' END,
            lap, high, on_both, left_over, in_tables) USING params, lap - interval '1 day', high + interval '1 day';
        GET DIAGNOSTICS step_count = ROW_COUNT;
        left_over := left_over - step_count;
        high := lap - interval '1 microsecond';
        IF left_over > 0 AND NOT ends THEN
            low := greatest(low, (SELECT min(c.captured_at) FROM @schema@.audit_changes c));
            ends := true;
        END IF;
    END LOOP;
END $body$;

-- Why no change can name a field among those that changed: 'excluded' or 'excepted' by the policy for as long as it is known, or
-- 'unknown': no table of these names (of any, when they are NULL), captured or no longer, has or had such a column. NULL when
-- one can. A column that came after the last refresh is captured too, so what the tables have now counts as well; of one that
-- came and went between two refreshes only the trail tells.
CREATE FUNCTION @schema@.field_problem(field text, names jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entries integer[];
    problem text;
BEGIN
    IF names IS NOT NULL THEN
        -- Whoever has or had one of the names: better one table too many than an answer refused.
        entries := ARRAY(SELECT a.id FROM jsonb_to_recordset(names) AS n (table_schema text, table_name text)
            JOIN @schema@.audited_tables a ON a.table_schema = n.table_schema AND a.table_name = n.table_name
                OR a.former_names @> jsonb_build_array(jsonb_build_object('table_schema', n.table_schema, 'table_name', n.table_name)));
    END IF;
    SELECT CASE WHEN bool_or(NOT k.excluded AND NOT k.excepted) THEN 'none' WHEN bool_or(k.excluded) THEN 'excluded' WHEN bool_or(k.excepted) THEN 'excepted' END
    INTO problem FROM @schema@.audited_columns k
    WHERE k.name = field AND (entries IS NULL OR k.audited_table = ANY (entries));
    IF problem = 'none' OR EXISTS (
        SELECT FROM @schema@.audited_tables a
        JOIN pg_proc p ON p.proname = ANY (ARRAY[a.function_stem || '_insert', a.function_stem || '_row'])
        JOIN pg_trigger t ON t.tgfoid = p.oid
        JOIN pg_attribute c ON c.attrelid = t.tgrelid AND c.attname = field AND c.attnum > 0 AND NOT c.attisdropped AND c.attgenerated <> 'v'
        WHERE p.pronamespace = @schema_name@::regnamespace AND (entries IS NULL OR a.id = ANY (entries))
          -- The policy speaks of the columns that it knows.
          AND NOT EXISTS (SELECT FROM @schema@.audited_columns k WHERE k.audited_table = a.id AND k.name = field AND k.until IS NULL)) THEN
        RETURN NULL;
    END IF;
    RETURN coalesce(problem, 'unknown');
END $body$;
