-- The audited table in two partitions, of which the first gets all rows.
DROP TABLE public.items;
CREATE SEQUENCE public.items_id_seq;
CREATE TABLE public.items (LIKE public.items_preload, PRIMARY KEY (id)) PARTITION BY RANGE (id);
ALTER TABLE public.items ALTER id SET DEFAULT pg_catalog.nextval('public.items_id_seq');
CREATE TABLE public.items_first PARTITION OF public.items FOR VALUES FROM (0) TO (1000000000);
CREATE TABLE public.items_rest PARTITION OF public.items DEFAULT;
