pg_catalog.json_build_object(
            'id', t.id, 'xid', t.xid::text, 'occurred_at', {occurred_at}, 'actor_ref', t.actor_ref,
            'action_id', t.action_id, 'correlation_id', t.correlation_id, 'request_id', t.request_id,
            'job_id', t.job_id, 'source', t.source, 'remote_ip', t.remote_ip, 'meta', t.meta,
            'session_role', t.session_role, 'current_role_name', t.current_role_name,
            'application_name', t.application_name)