-- All rows of a table as they were at an instant: a cursor, so that it is one snapshot and any number of rows. Who may not
-- read the table may not read its rows here, and a policy of row security that would hide some is an error.

-- What tells whether the rows can be told.
--   truncated_at     when the last TRUNCATE at or before the instant was recorded as one event
--   truncated_since  a TRUNCATE after the instant was recorded as one event
--   truncated_by     one at or before it was, so that every row at the instant had been captured
CREATE FUNCTION @schema@.table_as_of_facts(table_schema text, table_name text, at timestamptz) RETURNS json
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = on AS $body$
#variable_conflict use_column
DECLARE
    entry @schema@.audited_tables := @schema@.table_entry(table_schema, table_name);
    truncated_at timestamptz;
    truncated_since boolean;
BEGIN
    SELECT bool_or(c.captured_at > at), max(c.captured_at) FILTER (WHERE c.captured_at <= at) INTO truncated_since, truncated_at
    FROM @schema@.recorded_names(table_as_of_facts.table_schema, table_as_of_facts.table_name) AS n JOIN @schema@.audit_changes c
        ON c.key_hash = @schema@.table_hash(n.table_schema, n.table_name) AND c.op = 'truncate'
        AND c.table_schema = n.table_schema AND c.table_name = n.table_name AND c.captured_at <= n.until AND c.captured_at > n.since;
    RETURN json_build_object('captured', entry.id IS NOT NULL, 'key_columns', coalesce(to_json(entry.key_columns), '[]'),
        'enabled_at', to_char(entry.enabled_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'truncated_at', truncated_at,
        'truncated_since', coalesce(truncated_since, false), 'truncated_by', coalesce(truncated_at >= entry.enabled_at, false));
END $body$;

-- Opens a cursor over the keys that may have been a row's at the instant: those of today's rows and those of the changes
-- since; or those of all changes when today's rows tell nothing, because the table is not captured any more, or when a
-- TRUNCATE since took rows that no change since names. Of each key a text:
--   i  and the image that the last change by then left: nothing else touched the key at that instant or later
--   r  and the row as it is now, when nothing has touched it since and there is no image of it; or as it was before the first
--      change of all, which came after the instant and tells it whole
--   n  when the only change of all, after the instant, made the row
--   e  and what evidence_of tells, for everything less plain
-- Of a table that has had one name only, the last change of each key by the instant, and the first after it, come from the
-- index, all keys at once. Without nested
-- loops, because nothing tells the planner how many keys there are; the image is looked up in one all the same.
CREATE FUNCTION @schema@.open_rows_as_of(cursor_name text, table_schema text, table_name text, at timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET jit = off SET enable_nestloop = off SET row_security = off AS $body$
#variable_conflict use_column
DECLARE
    entry @schema@.audited_tables := @schema@.table_entry(table_schema, table_name);
    live text := @schema@.live_images_query(table_schema, table_name);
    names_count bigint;
    every_key boolean;
    touched text;
    touches text;               -- the changes of a table that has had one name
    facts json := @schema@.table_as_of_facts(table_schema, table_name, at);
    truncated_at timestamptz := facts ->> 'truncated_at';
    result refcursor := cursor_name;
BEGIN
    names_count := (SELECT count(*) FROM @schema@.recorded_names(open_rows_as_of.table_schema, open_rows_as_of.table_name));
    every_key := live IS NULL OR (facts ->> 'truncated_since')::boolean;
    SELECT string_agg(format('SELECT k.key FROM @schema@.audit_changes c CROSS JOIN LATERAL (VALUES (c.table_pk), (c.previous_pk)) AS k (key) '
            'WHERE c.key_hash BETWEEN %s AND %s AND c.table_schema = %L AND c.table_name = %L AND c.captured_at <= %L AND c.captured_at > %L AND k.key IS NOT NULL',
            n.hash, n.hash + 4294967295, n.table_schema, n.table_name, n.until, CASE WHEN every_key THEN n.since ELSE greatest(n.since, at) END), ' UNION ALL '),
        min(CASE WHEN names_count = 1 THEN format('BETWEEN %s AND %s AND c.captured_at', n.hash, n.hash + 4294967295)
            ELSE 'IS NULL AND false AND c.captured_at' END)
    INTO touched, touches FROM (SELECT r.*, @schema@.table_hash(r.table_schema, r.table_name) AS hash
        FROM @schema@.recorded_names(open_rows_as_of.table_schema, open_rows_as_of.table_name) AS r) AS n;
    OPEN result NO SCROLL FOR EXECUTE format($query$
        WITH touched AS MATERIALIZED (SELECT DISTINCT t.key FROM (%1$s) AS t (key)),
        last AS MATERIALIZED (SELECT c.key_hash, max(c.captured_at) AS at FROM @schema@.audit_changes c WHERE c.key_hash %3$s <= $4 GROUP BY 1),
        departed AS MATERIALIZED (SELECT c.previous_key_hash, max(c.captured_at) AS at FROM @schema@.audit_changes c WHERE c.previous_key_hash %3$s <= $4 GROUP BY 1),
        next AS MATERIALIZED (SELECT c.key_hash, min(c.captured_at) AS at, count(*) AS changes FROM @schema@.audit_changes c WHERE c.key_hash %3$s > $4 GROUP BY 1),
        departing AS MATERIALIZED (SELECT c.previous_key_hash, min(c.captured_at) AS at FROM @schema@.audit_changes c WHERE c.previous_key_hash %3$s > $4 GROUP BY 1)
        SELECT CASE
            WHEN m.ties = 1 AND m.table_pk = k.key AND m.data_after IS NOT NULL AND m.withheld IS NULL AND m.table_schema = $2 AND m.table_name = $3
                AND (d.at IS NULL OR d.at < l.at) AND (%4$L::timestamptz IS NULL OR l.at > %4$L::timestamptz) THEN concat('i', m.data_after)
            WHEN k.untouched AND (%6$L OR %5$L AND l.at IS NULL AND d.at IS NULL AND %4$L::timestamptz IS NULL) THEN concat('r', k.image)
            WHEN %7$L AND l.at IS NULL AND d.at IS NULL AND f.ties = 1 AND f.table_pk = k.key AND f.table_schema = $2 AND f.table_name = $3
                AND CASE WHEN f.op = 'insert' OR f.previous_pk <> f.table_pk THEN n.changes = 1 AND g.at IS NULL
                    ELSE f.previous_pk IS NULL AND f.changed_from IS NOT NULL AND (f.op = 'delete' OR f.data_after IS NOT NULL)
                        AND f.withheld IS NULL AND (g.at IS NULL OR g.at > f.captured_at) END
                THEN CASE WHEN f.op = 'insert' OR f.previous_pk IS NOT NULL THEN 'n' ELSE concat('r', f.data_after || f.changed_from, CASE f.op WHEN 'delete' THEN f.changed_from END) END
            ELSE concat('e', @schema@.evidence_of($1, $2, $3, k.key, $4, true, k.image, k.untouched,
                %5$L AND l.at IS NULL AND d.at IS NULL AND %4$L::timestamptz IS NULL)) END
        FROM (
            SELECT l.key, l.image, t.key IS NULL AS untouched FROM (%2$s) AS l (key, image) LEFT JOIN touched AS t ON t.key = l.key
            UNION ALL
            SELECT gone.key, NULL, false FROM (SELECT t.key FROM touched AS t EXCEPT SELECT l.key FROM (%2$s) AS l (key, image)) AS gone
        ) AS k
        LEFT JOIN last AS l ON l.key_hash = @schema@.key_hash($2, $3, k.key)
        LEFT JOIN departed AS d ON d.previous_key_hash = @schema@.key_hash($2, $3, k.key)
        LEFT JOIN LATERAL (
            SELECT c.table_schema, c.table_name, c.table_pk, c.data_after, c.withheld, count(*) OVER () AS ties
            FROM @schema@.audit_changes c WHERE c.key_hash = l.key_hash AND c.captured_at = l.at LIMIT 1
        ) AS m ON true
        LEFT JOIN next AS n ON n.key_hash = @schema@.key_hash($2, $3, k.key) AND l.at IS NULL
        LEFT JOIN departing AS g ON g.previous_key_hash = @schema@.key_hash($2, $3, k.key) AND l.at IS NULL
        LEFT JOIN LATERAL (
            SELECT c.captured_at, c.op, c.table_schema, c.table_name, c.table_pk, c.previous_pk, c.data_after, c.changed_from, c.withheld, count(*) OVER () AS ties
            FROM @schema@.audit_changes c WHERE c.key_hash = n.key_hash AND c.captured_at = n.at LIMIT 1
        ) AS f ON true$query$,
        touched, coalesce(live, 'SELECT NULL::jsonb, NULL::jsonb WHERE false'), touches, truncated_at, names_count = 1, entry.policy ->> 'images' = 'lean',
        -- No TRUNCATE can have come between, and none makes the rows before it anybody's guess.
        names_count = 1 AND truncated_at IS NULL AND NOT (facts ->> 'truncated_since')::boolean)
        USING entry, table_schema, table_name, at;
    RETURN cursor_name;
END $body$;

-- The next rows of such a cursor. The settings are those capture pins.
CREATE FUNCTION @schema@.next_rows_as_of(cursor_name text, most integer) RETURNS SETOF text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET datestyle = 'ISO, MDY' SET intervalstyle = 'postgres'
SET bytea_output = 'hex' SET extra_float_digits = '1' SET quote_all_identifiers = 'off' SET lc_monetary = 'C' SET row_security = off AS $body$
DECLARE
    opened refcursor := cursor_name;
    evidence text;
BEGIN
    FOR n IN 1..most LOOP
        FETCH opened INTO evidence;
        EXIT WHEN NOT FOUND;
        RETURN NEXT evidence;
    END LOOP;
END $body$;
