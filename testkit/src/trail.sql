-- A trail of any size, made in the database: {changes} changes over the 24 months up to now, in five captured tables.
-- Needs the kernel in the schema `threadline` and no trail yet. Two runs give the same trail, but for the instants.
--
--   table          key                                    share
--   orders         id bigint, some hot                    58 %
--   customers      slug text, some hot                    25 %
--   order_lines    order_id bigint, line integer          15 %
--   plans          id integer                             2 %
--   flags          name text                              20 changes in all
--
-- One transaction in twenty names no actor. Of each of actor, correlation id, request id, job id and action
-- name there are four that recur, called `hot` (a tenth of the transactions or more), `common` (1 in 50), `scarce`
-- (1 in 1,000) and `rare` (3 in all), beside those of everyday work. The actor `gone` did much in a month and a half, a year
-- and a half ago, and nothing since. A transaction has two or three changes; the first
-- thousand of a hundred thousand are one transaction.

CREATE TABLE public.orders (id bigint PRIMARY KEY, status text, customer text, total numeric, note text);
CREATE TABLE public.customers (slug text PRIMARY KEY, status text, customer text, total numeric, note text);
CREATE TABLE public.order_lines (order_id bigint, line integer, status text, customer text, total numeric, note text,
    PRIMARY KEY (order_id, line));
CREATE TABLE public.plans (id integer PRIMARY KEY, status text, customer text, total numeric, note text);
CREATE TABLE public.flags (name text PRIMARY KEY, status text, customer text, total numeric, note text);
SELECT count(threadline.enable_capture(t::regclass, '{}'))
FROM unnest(ARRAY['public.orders', 'public.customers', 'public.order_lines', 'public.plans', 'public.flags']) AS t;

-- The months before this one; the kernel has made the others.
DO $$
DECLARE
    root text;
    month_start timestamptz;
    leaf text;
BEGIN
    PERFORM set_config('timezone', 'UTC', true);
    FOREACH root IN ARRAY ARRAY['audit_transactions', 'audit_changes'] LOOP
        FOR month IN 1..24 LOOP
            month_start := date_trunc('month', now()) - make_interval(months => month);
            leaf := root || '_' || to_char(month_start, 'YYYY_MM');
            EXECUTE format('CREATE TABLE threadline.%I PARTITION OF threadline.%I FOR VALUES FROM (%L) TO (%L)',
                           leaf, root, month_start, month_start + interval '1 month');
            PERFORM threadline.guard_relation(format('threadline.%I', leaf)::regclass);
        END LOOP;
    END LOOP;
END $$;

SELECT setseed(0.42)::text;

INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk,
    data_after, changed_fields, changed_from)
SELECT c.transaction_id, (1000 + c.transaction_id)::text::xid8, c.captured_at,
    -- The table's part was looked up once for each; the rest is as capture makes it.
    c.table_hash + CASE WHEN c.table_name IN ('orders', 'plans') THEN c.number ELSE 2147483648 + jsonb_hash(c.pk)::bigint END,
    'public', c.table_name, c.op, c.pk,
    CASE WHEN c.op <> 'delete' THEN c.image END,
    CASE WHEN c.op = 'update' THEN ARRAY['status', 'total'] END,
    CASE c.op WHEN 'update' THEN jsonb_build_object('status', 'open', 'total', c.i % 977) WHEN 'delete' THEN c.image END
FROM (
    SELECT s.*, h.table_hash,
        s.pk || jsonb_build_object('status', CASE s.i % 3 WHEN 0 THEN 'open' WHEN 1 THEN 'paid' ELSE 'sent' END,
            'customer', 'customer-' || s.number % 5003, 'total', s.i % 991, 'note', repeat('n', 20 + (s.i % 40)::integer)) AS image
    FROM (
        SELECT r.*, CASE r.table_name
            WHEN 'orders' THEN jsonb_build_object('id', r.number)
            WHEN 'customers' THEN jsonb_build_object('slug', 'customer-' || r.number)
            WHEN 'order_lines' THEN jsonb_build_object('line', r.i % 7, 'order_id', r.number)
            WHEN 'plans' THEN jsonb_build_object('id', r.number)
            ELSE jsonb_build_object('name', 'flag-' || r.number % 5) END AS pk
        FROM (
            SELECT g.i, g.luck,
                (CASE WHEN g.i % 100000 < 1000 THEN g.i / 100000 * 100000 ELSE g.i END * 2 / 5 + 1)::bigint AS transaction_id,
                date_trunc('second', now())
                    - interval '24 months' * ((({changes} - CASE WHEN g.i % 100000 < 1000 THEN g.i / 100000 * 100000 ELSE g.i END)::float8 + 1) / {changes})
                    + interval '1 microsecond' * CASE WHEN g.i % 100000 < 1000 THEN g.i % 100000 ELSE 0 END AS captured_at,
                CASE WHEN g.i % ({changes} / 20) = 17 THEN 'flags' WHEN g.i % ({changes} / 3) = 19 THEN 'orders'
                     WHEN g.luck < 0.58 THEN 'orders' WHEN g.luck < 0.83 THEN 'customers' WHEN g.luck < 0.98 THEN 'order_lines'
                     ELSE 'plans' END AS table_name,
                -- A few keys have most of the changes; number 1 is the hottest, and number 999999999 has three.
                CASE WHEN g.i % ({changes} / 3) = 19 THEN 999999999
                     ELSE 1 + floor(power(g.key_luck, 4) * GREATEST({changes} / 10, 100)) END::bigint AS number,
                CASE WHEN g.op_luck < 0.2 THEN 'insert' WHEN g.op_luck < 0.97 OR g.i % ({changes} / 3) = 19 THEN 'update' ELSE 'delete' END AS op
            FROM (SELECT i::bigint, random() AS luck, random() AS key_luck, random() AS op_luck
                  FROM generate_series(0, {changes} - 1) AS i) AS g
        ) AS r
    ) AS s
    JOIN (SELECT t AS table_name, threadline.table_hash('public', t) AS table_hash
          FROM unnest(ARRAY['orders', 'customers', 'order_lines', 'plans', 'flags']) AS t OFFSET 0) AS h USING (table_name)
    ORDER BY s.i
) AS c;

INSERT INTO threadline.audit_transactions (id, xid, occurred_at, actor_ref, action_id, correlation_id, request_id, job_id,
    source, remote_ip, meta, session_role, current_role_name, application_name)
SELECT t.id, (1000 + t.id)::text::xid8, t.occurred_at,
    CASE WHEN t.id % 20 <> 5 THEN jsonb_build_object('type', 'user', 'id', CASE
        WHEN t.is_rare THEN 'rare' WHEN t.id % 1000 = 7 THEN 'scarce' WHEN t.id % 50 = 8 THEN 'common'
        WHEN t.id % 4 = 1 THEN 'hot' WHEN t.id % 3 = 1 AND t.id * 96 / {changes} BETWEEN 10 AND 11 THEN 'gone'
        ELSE 'user-' || t.id * 7919 % 20011 END) END,
    -- Actions are made below, with these ids.
    CASE WHEN t.id % 5 IN (0, 1) OR t.is_rare THEN t.id END,
    CASE WHEN t.is_rare THEN 'rare' WHEN t.id % 1000 = 17 THEN 'scarce' WHEN t.id % 50 = 18 THEN 'common'
         WHEN t.id % 10 = 2 THEN 'hot' ELSE 'correlation-' || t.id / 3 END,
    CASE WHEN t.is_rare THEN 'rare' WHEN t.id % 1000 = 27 THEN 'scarce' WHEN t.id % 50 = 28 THEN 'common'
         WHEN t.id % 10 = 3 THEN 'hot' ELSE 'request-' || t.id END,
    CASE WHEN t.is_rare THEN 'rare' WHEN t.id % 1000 = 37 THEN 'scarce' WHEN t.id % 50 = 38 THEN 'common'
         WHEN t.id % 10 = 4 THEN 'hot' WHEN t.id % 10 = 6 THEN 'job-' || t.id / 100 END,
    'web', '192.0.2.7', jsonb_build_object('tenant', 'tenant-' || t.id % 10), 'app', 'app', 'shop'
FROM (
    SELECT c.transaction_id AS id, min(c.captured_at) AS occurred_at,
        c.transaction_id IN ({changes} / 10 + 1, {changes} / 5 + 1003, {changes} * 3 / 10 + 2) AS is_rare
    FROM threadline.audit_changes AS c GROUP BY c.transaction_id
) AS t ORDER BY t.id;

INSERT INTO threadline.audit_actions (id, name, actor_ref, status, category, correlation_id, request_id, recorded_at)
SELECT t.action_id,
    CASE WHEN t.correlation_id = 'rare' THEN 'rare' WHEN t.id % 1000 IN (50, 51) THEN 'scarce' WHEN t.id % 50 = 11 THEN 'common'
         WHEN t.id % 10 IN (0, 1) THEN 'hot' ELSE 'order.' || t.id % 300 END,
    coalesce(t.actor_ref, '{"type": "system", "id": "shop"}'), CASE WHEN t.id % 100 = 0 THEN 'error' ELSE 'ok' END,
    CASE WHEN t.id % 2 = 0 THEN 'orders' ELSE 'customers' END, t.correlation_id, t.request_id, t.occurred_at
FROM threadline.audit_transactions AS t WHERE t.action_id IS NOT NULL ORDER BY t.id;

SELECT setval('threadline.audit_changes_id', (SELECT max(id) FROM threadline.audit_changes)),
    setval('threadline.audit_transactions_id', (SELECT max(id) FROM threadline.audit_transactions)),
    setval('threadline.audit_actions_id', (SELECT max(id) FROM threadline.audit_actions));
UPDATE threadline.audited_tables SET enabled_at = now() - interval '25 months';
