-- A trail of {changes} changes over {months} months, made in the database: past the triggers, with the shapes that reads
-- have to cope with. Actors: `user 1` did a third of everything, `user gone` a lot in one month long ago, a few thousand
-- others a little, `user rare` three things. Actions: post.updated often, post.purged rarely. Tables: posts (busy),
-- comments, settings (rare).
DO $seed$
DECLARE
    root text;
    leaf text;
    month_start timestamptz;
BEGIN
    FOREACH root IN ARRAY ARRAY['audit_transactions', 'audit_changes'] LOOP
        FOR month IN 1..{months} LOOP
            month_start := date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - make_interval(months => month);
            leaf := root || '_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
            EXECUTE format('CREATE TABLE threadline.%I (LIKE threadline.%I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)', leaf, root);
            EXECUTE format('ALTER TABLE threadline.%I ATTACH PARTITION threadline.%I FOR VALUES FROM (%L) TO (%L)', root, leaf,
                month_start, date_trunc('month', (month_start + interval '32 days') AT TIME ZONE 'UTC') AT TIME ZONE 'UTC');
        END LOOP;
    END LOOP;
END $seed$;

CREATE TABLE public.posts (id bigint PRIMARY KEY, title text, body text, n int);
CREATE TABLE public.comments (id bigint PRIMARY KEY, body text);
CREATE TABLE public.settings (id bigint PRIMARY KEY, value text);
SELECT threadline.enable_capture(t, '{}') FROM unnest(ARRAY['posts', 'comments', 'settings']::regclass[]) AS t;
UPDATE threadline.audited_tables SET enabled_at = now() - interval '10 years';

CREATE TEMPORARY TABLE seed_transactions AS
SELECT n AS id, instant,
    CASE WHEN n % 3 = 0 THEN '1' WHEN n BETWEEN {transactions} / 4 AND {transactions} / 4 + {transactions} / 24 AND n % 3 = 1 THEN 'gone'
         WHEN n % ({transactions} / 3) = 7 THEN 'rare' ELSE (10 + n * 7919 % 5000)::text END AS actor,
    CASE WHEN n % 2 = 0 THEN n END AS action_id
FROM (SELECT n, now() - interval '1 hour' - interval '{months} months' + (n::float8 / {transactions}) * (interval '{months} months' - interval '2 days') AS instant
      FROM generate_series(1::bigint, {transactions}) AS n) AS s;

INSERT INTO threadline.audit_actions (id, name, actor_ref, status, category, correlation_id, recorded_at)
SELECT action_id, CASE WHEN id % ({transactions} / 10 * 2) = 0 THEN 'post.purged' ELSE 'post.updated' END, jsonb_build_object('type', 'user', 'id', actor),
    CASE WHEN id % 50 = 0 THEN 'error' ELSE 'ok' END, 'editing', 'c-' || id, instant
FROM seed_transactions WHERE action_id IS NOT NULL;

INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, action_id, correlation_id, request_id, job_id, meta, session_role, current_role_name, application_name)
SELECT id, (id + 1000)::text::xid8, instant, jsonb_build_object('type', 'user', 'id', actor), action_id, 'c-' || id, 'r-' || id,
    CASE WHEN id % 10 = 0 THEN 'j-' || id / 1000 END, jsonb_build_object('tenant', 't' || id % 20), 'app', 'none', 'seed'
FROM seed_transactions ORDER BY id;

INSERT INTO threadline.audit_changes (id, transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk, data_after, changed_fields, changed_from)
SELECT n, t.id, (t.id + 1000)::text::xid8, t.instant + (n % 5) * interval '1 millisecond',
    threadline.table_hash('public', k.table_name) + (k.key & 4294967295), 'public', k.table_name, k.op, jsonb_build_object('id', k.key),
    CASE WHEN k.op <> 'delete' THEN k.image END, CASE WHEN k.op = 'update' THEN ARRAY['n', 'title'] END,
    CASE k.op WHEN 'update' THEN jsonb_build_object('n', n - 1, 'title', 'before') WHEN 'delete' THEN k.image END
FROM generate_series(1::bigint, {changes}) AS n
JOIN seed_transactions t ON t.id = 1 + (n - 1) * {transactions} / {changes}
CROSS JOIN LATERAL (
    SELECT CASE WHEN n % ({changes} / 30) = 3 THEN 'settings' WHEN n % 5 = 0 THEN 'comments' ELSE 'posts' END AS table_name,
        n % ({changes} / 20 + 1) AS key, CASE n % 20 WHEN 0 THEN 'delete' WHEN 1 THEN 'insert' ELSE 'update' END AS op,
        jsonb_build_object('id', n % ({changes} / 20 + 1), 'title', 'title ' || n, 'body', repeat('words ', 20), 'n', n) AS image
) AS k
ORDER BY n;

SELECT setval('threadline.audit_transactions_id', {transactions}), setval('threadline.audit_changes_id', {changes}), setval('threadline.audit_actions_id', {transactions});
DROP TABLE seed_transactions;
ANALYZE threadline.audit_transactions;
ANALYZE threadline.audit_changes;
ANALYZE threadline.audit_actions;
