pg_catalog.json_build_object(
            'id', a.id, 'name', a.name, 'actor_ref', a.actor_ref, 'status', a.status, 'verb', a.verb,
            'category', a.category, 'reason', a.reason, 'comment', a.comment, 'correlation_id', a.correlation_id,
            'request_id', a.request_id, 'job_id', a.job_id, 'recorded_at', {recorded_at})