-- The least that a statement-level trail in SQL can do: one INSERT of the key and one image into a table with the trail's
-- three indexes. No transaction row, no actor, no comparison, no redaction, no check that the table is still the same, no
-- partition. It keeps nothing of what the trail promises; it shows what PostgreSQL asks for the mechanism alone.
CREATE SCHEMA threadline_floor;
CREATE SEQUENCE threadline_floor.changes_id AS bigint CACHE 64;
CREATE TABLE threadline_floor.changes (
    id bigint NOT NULL DEFAULT nextval('threadline_floor.changes_id'::regclass),
    transaction_id bigint NOT NULL,
    captured_at timestamptz NOT NULL,
    key_hash bigint NOT NULL,
    op text NOT NULL,
    table_pk jsonb,
    image jsonb
);
CREATE INDEX changes_order ON threadline_floor.changes (captured_at, id);
CREATE INDEX changes_transaction ON threadline_floor.changes (transaction_id);
CREATE INDEX changes_key ON threadline_floor.changes (key_hash, captured_at);

CREATE FUNCTION threadline_floor.capture_new() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    INSERT INTO threadline_floor.changes (transaction_id, captured_at, key_hash, op, table_pk, image)
    SELECT 1, clock_timestamp(), r.id, 'new', jsonb_build_object('id', r.id), to_jsonb(r) FROM new_rows AS r;
    RETURN NULL;
END $body$;

CREATE FUNCTION threadline_floor.capture_old() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    INSERT INTO threadline_floor.changes (transaction_id, captured_at, key_hash, op, table_pk, image)
    SELECT 1, clock_timestamp(), r.id, 'old', jsonb_build_object('id', r.id), to_jsonb(r) FROM old_rows AS r;
    RETURN NULL;
END $body$;

CREATE TRIGGER floor_insert AFTER INSERT ON public.items REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION threadline_floor.capture_new();
CREATE TRIGGER floor_update AFTER UPDATE ON public.items REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION threadline_floor.capture_new();
CREATE TRIGGER floor_delete AFTER DELETE ON public.items REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION threadline_floor.capture_old();
