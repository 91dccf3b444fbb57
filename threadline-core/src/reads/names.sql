WITH entry AS MATERIALIZED (
    -- The table as it is called today; while it is captured, rather than a namesake that no longer is.
    SELECT a.id, a.former_names, a.key_columns, a.enabled_at
    FROM {schema}.audited_tables AS a
    WHERE a.table_schema = {table_schema} AND a.table_name = {table_name}
    ORDER BY a.disabled_at IS NULL DESC, a.disabled_at DESC, a.id DESC
    LIMIT 1
), names AS MATERIALIZED (
    -- What it is and was called. `until`: a former name may be another table's since. `since`: a name may have been
    -- another table's before, which took its history along to a new name.
    SELECT n.table_schema, n.table_name, n.until, (
        SELECT COALESCE(pg_catalog.max((f.name ->> 'until')::timestamptz), '-infinity')
        FROM {schema}.audited_tables AS o CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(o.former_names) AS f (name)
        WHERE o.id IS DISTINCT FROM (SELECT e.id FROM entry AS e)
          AND f.name ->> 'table_schema' = n.table_schema AND f.name ->> 'table_name' = n.table_name
          AND (o.table_schema, o.table_name) IS DISTINCT FROM (n.table_schema, n.table_name)
          AND (f.name ->> 'until')::timestamptz < n.until
    ) AS since
    FROM (
        SELECT m.table_schema, m.table_name, pg_catalog.max(m.until) AS until
        FROM (
            SELECT {table_schema} AS table_schema, {table_name} AS table_name, 'infinity'::timestamptz AS until
            UNION ALL
            SELECT f.name ->> 'table_schema', f.name ->> 'table_name', (f.name ->> 'until')::timestamptz
            FROM entry AS e CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(e.former_names) AS f (name)
        ) AS m
        GROUP BY m.table_schema, m.table_name
    ) AS n
)
