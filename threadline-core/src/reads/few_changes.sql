few_changes AS MATERIALIZED (
    -- Changes that are few are found through the range of key hashes that their tables have; many, by walking the order
    -- of the trail. Looked up rather than left to the planner: it cannot know.
    SELECT pg_catalog.count(*) <= 2000 AS few FROM (
        SELECT FROM names AS n CROSS JOIN LATERAL (
            SELECT FROM {schema}.audit_changes AS c WHERE {range} LIMIT 2001
        ) AS c
        LIMIT 2001
    ) AS s
),  