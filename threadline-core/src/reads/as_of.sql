, last AS MATERIALIZED (
    -- The newest change of the key at or before the instant.
{last}
), before AS MATERIALIZED (
    -- When the row left the key in it, the changes before it tell whether another took the key meanwhile.
{before}
), truncated AS MATERIALIZED (
    -- The newest TRUNCATE at or before the instant.
{truncated}
), stop AS MATERIALIZED (
    -- The first change after the instant that tells the whole row; not looked for when the newest before does.
{stop}
), after AS MATERIALIZED (
    -- Everything in between, to be undone; and what follows at once, should the key have changed hands.
    SELECT c.* FROM (
{between}
    ) AS c
    UNION ALL
    SELECT c.* FROM (
{following}
    ) AS c
), truncated_next AS MATERIALIZED (
    -- The first TRUNCATE after the instant.
{truncated_next}
)
SELECT pg_catalog.json_build_object(
    'facts', {facts},
    'enabled_at', (SELECT {enabled_at} FROM entry AS e),
    'before', (SELECT COALESCE(pg_catalog.json_agg({touch_with_image_of_last} ORDER BY c.captured_at, c.id), '[]') FROM before AS c),
    'truncated', (SELECT {position} FROM truncated AS c),
    'after', (SELECT COALESCE(pg_catalog.json_agg({touch} ORDER BY c.captured_at, c.id), '[]') FROM after AS c),
    'truncated_next', (SELECT {position} FROM truncated_next AS c),
    -- The row as it is now, in the trail's own form; only when no change tells the whole row.
    'live', CASE WHEN NOT EXISTS (SELECT FROM stop) AND NOT EXISTS (SELECT FROM last AS l WHERE {settles})
        THEN (SELECT {schema}.live_image({table_schema}, {table_name}, w.key) FROM wanted AS w) END
)::text
