SELECT CASE WHEN pg_catalog.to_regclass({table}) IS NULL THEN 'null' ELSE
    -- A statement that names a missing table does not even parse. ts_stat runs a query that it is given as text, so
    -- the table is looked at only when it is there, in one statement and without a function of ours.
    (SELECT COALESCE(pg_catalog.max(s.word), 'null') FROM pg_catalog.ts_stat({query}) AS s)
END
