WITH names AS MATERIALIZED (
    -- The name in whatever schema, and what tables of this name were called before.
    SELECT NULL::text AS table_schema, {table_name} AS table_name, 'infinity'::timestamptz AS until, '-infinity'::timestamptz AS since
    UNION ALL
    SELECT f.name ->> 'table_schema', f.name ->> 'table_name', pg_catalog.max((f.name ->> 'until')::timestamptz), '-infinity'
    FROM {schema}.audited_tables AS a CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(a.former_names) AS f (name)
    WHERE a.table_name = {table_name} AND f.name ->> 'table_name' <> {table_name}
    GROUP BY 1, 2
)
