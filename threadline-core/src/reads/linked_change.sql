), transactions AS MATERIALIZED (
    SELECT t.* FROM (
        SELECT pg_catalog.array_agg(DISTINCT c.transaction_id) AS ids, pg_catalog.min(c.captured_at) AS since,
            pg_catalog.max(c.captured_at) AS until FROM found AS c
    ) AS c CROSS JOIN LATERAL {schema}.find_transactions(c.ids, c.since, c.until) AS t
), actions AS MATERIALIZED (
    SELECT a.* FROM {schema}.audit_actions AS a WHERE a.id = ANY (ARRAY(SELECT t.action_id FROM transactions AS t))
)
SELECT r.row_text FROM (
    SELECT c.captured_at, c.id, {linked_json}::text AS row_text
    FROM found AS c LEFT JOIN transactions AS t ON t.id = c.transaction_id LEFT JOIN actions AS a ON a.id = t.action_id
