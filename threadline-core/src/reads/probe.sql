WITH restored AS MATERIALIZED (
    SELECT {schema}.leave_context($1::text::json ->> 'previous')::text AS done
), mark AS MATERIALIZED (
    SELECT m.mark ->> 'transaction' = {transaction} AS is_same, (m.mark ->> 'last')::bigint AS last,
        timestamptz 'epoch' + interval '1 microsecond' * (m.mark ->> 'since')::bigint AS since
    FROM (SELECT $1::text::json AS mark) AS m
), found AS MATERIALIZED (
    SELECT c.* FROM {schema}.audit_changes AS c
    -- A bound that the index of the order can use, in either case.
    WHERE c.captured_at >= (SELECT CASE WHEN m.is_same THEN {begin} ELSE m.since END FROM mark AS m)
      AND CASE WHEN (SELECT m.is_same FROM mark AS m)
               THEN c.xid = pg_catalog.pg_current_xact_id_if_assigned() AND c.id > (SELECT m.last FROM mark AS m)
               ELSE c.captured_at > (SELECT m.since FROM mark AS m) END
    -- All of them; and the context is put back also when there is none.
    LIMIT (SELECT CASE WHEN pg_catalog.count(r.done) <> 1 THEN 0 END FROM restored AS r)
