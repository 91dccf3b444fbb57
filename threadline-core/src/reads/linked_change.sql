), transactions AS MATERIALIZED (
    -- One array look-up, never a join that could turn into a scan of all transactions.
    SELECT t.* FROM {schema}.audit_transactions AS t WHERE t.id = ANY (ARRAY(SELECT c.transaction_id FROM found AS c))
), actions AS MATERIALIZED (
    SELECT a.* FROM {schema}.audit_actions AS a WHERE a.id = ANY (ARRAY(SELECT t.action_id FROM transactions AS t))
)
SELECT r.row_text FROM (
    SELECT c.captured_at, c.id, pg_catalog.json_build_object(
        'change', pg_catalog.json_build_object(
            'id', c.id, 'transaction_id', c.transaction_id, 'xid', c.xid::text, 'captured_at', {captured_at},
            'table_schema', c.table_schema, 'table_name', c.table_name, 'op', c.op, 'table_pk', c.table_pk,
            'previous_pk', c.previous_pk, 'data_after', c.data_after, 'changed_fields', c.changed_fields,
            'changed_from', c.changed_from, 'withheld', c.withheld),
        'transaction', CASE WHEN t.id IS NOT NULL THEN pg_catalog.json_build_object(
            'id', t.id, 'xid', t.xid::text, 'occurred_at', {occurred_at}, 'actor_ref', t.actor_ref,
            'action_id', t.action_id, 'correlation_id', t.correlation_id, 'request_id', t.request_id,
            'job_id', t.job_id, 'source', t.source, 'remote_ip', t.remote_ip, 'meta', t.meta,
            'session_role', t.session_role, 'current_role_name', t.current_role_name,
            'application_name', t.application_name) END,
        'action', CASE WHEN a.id IS NOT NULL THEN pg_catalog.json_build_object(
            'id', a.id, 'name', a.name, 'actor_ref', a.actor_ref, 'status', a.status, 'verb', a.verb,
            'category', a.category, 'reason', a.reason, 'comment', a.comment, 'correlation_id', a.correlation_id,
            'request_id', a.request_id, 'job_id', a.job_id, 'recorded_at', {recorded_at}) END
    )::text AS row_text
    FROM found AS c LEFT JOIN transactions AS t ON t.id = c.transaction_id LEFT JOIN actions AS a ON a.id = t.action_id
