    UNION ALL
    -- Nothing found, but the ends of whole tables: what the table looks like, to tell a wrong question from an empty history.
    SELECT NULL, NULL, pg_catalog.json_build_object('nothing', {facts})::text
    WHERE NOT EXISTS (SELECT FROM found AS f WHERE f.op <> 'truncate')
