-- Two tables, alike but for their images: the row with the number n was made two years ago and has changed n times in the
-- last year, evenly. Does nothing when they are there.
DO $$
BEGIN
    IF to_regclass('public.lean_orders') IS NOT NULL THEN
        RETURN;
    END IF;
    CREATE TABLE public.lean_orders (id bigint PRIMARY KEY, status text, customer text, total numeric, note text);
    CREATE TABLE public.full_orders (LIKE public.lean_orders INCLUDING ALL);
    INSERT INTO public.lean_orders
        SELECT n, 'open', 'customer-1', 0, repeat('n', 40) FROM unnest(ARRAY[1, 10, 100, 1000, 10000]) AS n;
    INSERT INTO public.full_orders SELECT * FROM public.lean_orders;
    PERFORM threadline.enable_capture('public.lean_orders', '{"images": "lean", "truncate": "refuse"}'),
        threadline.enable_capture('public.full_orders', '{}');
    UPDATE threadline.audited_tables SET enabled_at = now() - interval '25 months' WHERE table_name IN ('lean_orders', 'full_orders');
    INSERT INTO threadline.audit_changes (transaction_id, xid, captured_at, key_hash, table_schema, table_name, op, table_pk,
        data_after, changed_fields, changed_from)
    SELECT 1, '1', c.at, threadline.key_hash('public', t.name, c.pk), 'public', t.name, c.op, c.pk,
        CASE WHEN t.name = 'full_orders' THEN to_jsonb(o) || jsonb_build_object('total', i) END,
        CASE c.op WHEN 'update' THEN ARRAY['total'] END, CASE c.op WHEN 'update' THEN jsonb_build_object('total', i - 1) END
    FROM public.full_orders AS o
    CROSS JOIN LATERAL generate_series(0, o.id) AS i
    CROSS JOIN LATERAL (
        SELECT jsonb_build_object('id', o.id) AS pk, CASE i WHEN 0 THEN 'insert' ELSE 'update' END AS op,
            now() - CASE i WHEN 0 THEN interval '23 months' ELSE interval '360 days' * ((o.id - i + 1)::float8 / (o.id + 1)) END AS at
    ) AS c
    CROSS JOIN unnest(ARRAY['lean_orders', 'full_orders']) AS t (name)
    ORDER BY c.at, t.name;
END $$;
