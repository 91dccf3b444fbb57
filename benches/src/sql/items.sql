-- The audited table: 11 columns, about 330 bytes a row, no index but its key.
CREATE TABLE public.items (
    id bigserial PRIMARY KEY,
    account_id bigint,
    sku text,
    title text,
    description text,
    price_cents bigint,
    quantity int,
    attributes jsonb,
    active boolean,
    created_at timestamptz,
    updated_at timestamptz
);

-- What `items` is filled from before each measurement.
CREATE TABLE public.items_preload (LIKE public.items);

INSERT INTO public.items_preload
SELECT
    n,
    1000 + n % 500,
    'SKU-' || lpad(n::text, 8, '0'),
    'Article number ' || n || ', hand made',
    'A description of the kind that catalogues have: what it is, of what it is made, for whom. ' || md5(n::text),
    199 + n % 9000,
    n % 250,
    jsonb_build_object('color', (ARRAY['red', 'green', 'blue'])[1 + n % 3], 'weight_g', n % 5000),
    n % 10 <> 0,
    timestamptz '2025-01-01 00:00:00+00' + make_interval(secs => n),
    timestamptz '2025-06-01 00:00:00+00' + make_interval(secs => n)
FROM generate_series(1, 20000) AS n;
