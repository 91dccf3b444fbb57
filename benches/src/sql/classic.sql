-- A peer: the generic row-level audit trigger as it is usually written. Both images whole, no context but an actor, no
-- grouping, no comparison of columns.
CREATE TABLE public.audit_log (
    id bigserial PRIMARY KEY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    table_schema text NOT NULL,
    table_name text NOT NULL,
    operation text NOT NULL,
    row_id text NOT NULL,
    actor text,
    transaction_id bigint NOT NULL DEFAULT txid_current(),
    old_row jsonb,
    new_row jsonb
);
CREATE INDEX audit_log_row ON public.audit_log (table_name, row_id);

CREATE FUNCTION public.audit_row() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $body$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO audit_log (table_schema, table_name, operation, row_id, actor, new_row)
        VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, NEW.id, current_setting('threadline.actor_ref', true), to_jsonb(NEW));
    ELSIF TG_OP = 'UPDATE' THEN
        IF NEW IS DISTINCT FROM OLD THEN
            INSERT INTO audit_log (table_schema, table_name, operation, row_id, actor, old_row, new_row)
            VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, NEW.id, current_setting('threadline.actor_ref', true), to_jsonb(OLD), to_jsonb(NEW));
        END IF;
    ELSE
        INSERT INTO audit_log (table_schema, table_name, operation, row_id, actor, old_row)
        VALUES (TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP, OLD.id, current_setting('threadline.actor_ref', true), to_jsonb(OLD));
    END IF;
    RETURN NULL;
END $body$;

CREATE TRIGGER audit_row AFTER INSERT OR UPDATE OR DELETE ON public.items
    FOR EACH ROW EXECUTE FUNCTION public.audit_row();
