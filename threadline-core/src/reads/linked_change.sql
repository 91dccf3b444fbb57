), transactions AS MATERIALIZED (
    -- One array look-up, never a join that could turn into a scan of all transactions.
    SELECT t.* FROM {schema}.audit_transactions AS t WHERE t.id = ANY (ARRAY(SELECT c.transaction_id FROM found AS c))
), actions AS MATERIALIZED (
    SELECT a.* FROM {schema}.audit_actions AS a WHERE a.id = ANY (ARRAY(SELECT t.action_id FROM transactions AS t))
)
SELECT r.row_text FROM (
    SELECT c.captured_at, c.id, {linked_json}::text AS row_text
    FROM found AS c LEFT JOIN transactions AS t ON t.id = c.transaction_id LEFT JOIN actions AS a ON a.id = t.action_id
