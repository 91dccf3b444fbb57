(
    SELECT pg_catalog.json_build_object(
        'captured', EXISTS (SELECT FROM entry),
        'key_columns', COALESCE((SELECT pg_catalog.to_json(e.key_columns) FROM entry AS e), '[]'),
        'column_types', (
            SELECT COALESCE(pg_catalog.json_object_agg(k.name, t.typname), '{}')
            FROM entry AS e CROSS JOIN LATERAL pg_catalog.unnest(e.key_columns) AS k (name)
            JOIN pg_catalog.pg_attribute AS a
              ON a.attrelid = pg_catalog.to_regclass(pg_catalog.format('%I.%I', {table_schema}, {table_name}))
             AND a.attname = k.name AND NOT a.attisdropped
            JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
            WHERE t.typnamespace = (SELECT n.oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = 'pg_catalog')))
)
