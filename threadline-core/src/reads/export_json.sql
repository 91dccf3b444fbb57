pg_catalog.json_build_object(
        'id', c.id, 'transaction_id', c.transaction_id, 'table_schema', c.table_schema, 'table_name', c.table_name,
        'op', c.op, 'captured_at', {captured_at}, 'table_pk', c.table_pk, 'previous_pk', c.previous_pk,
        'data_after', c.data_after, 'changed_fields', c.changed_fields, 'changed_from', c.changed_from,
        'withheld', c.withheld,
        'transaction', CASE WHEN t.id IS NOT NULL THEN {transaction_json} END,
        'action', CASE WHEN a.id IS NOT NULL THEN {action_json} END
    )::text
