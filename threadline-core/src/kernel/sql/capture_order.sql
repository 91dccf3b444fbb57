-- When a change is said to have been captured.
--
-- A host's own AFTER triggers run before our statement trigger. If they write an audited table, their changes are
-- captured before the statement that caused them, although they came after it. Tables with such triggers carry markers:
-- a BEFORE STATEMENT trigger arms a slot for its trigger depth and operation; the first nested capture fills the slot
-- with an instant just before its own; the outer capture takes that instant. The clock is read after the statement has
-- its row locks, never before: a statement that waited for a lock must sort after the transaction it waited for.
-- Work of BEFORE ROW triggers really comes first; a row marker tells the two phases apart.

-- The setting of a slot, for one trigger depth and one operation: 'waiting', 'armed', or microseconds since 1970.
CREATE FUNCTION @schema@.order_setting(depth integer, op text) RETURNS text
LANGUAGE sql IMMUTABLE AS $body$
    SELECT pg_catalog.concat(@order_setting@, '_', depth, '_', pg_catalog.lower(op))
$body$;

-- Reads the clock for one capture call: strictly later than the call before it in this transaction, even when the
-- clock steps back (by up to a day: more can only be a forged setting). Called within another trigger, it first
-- reserves earlier instants for the outer statements whose AFTER triggers led here. When a UTC day has begun since the
-- call before, the audit transactions opened so far are closed: see close_day.
CREATE FUNCTION @schema@.next_instant() RETURNS timestamptz
LANGUAGE plpgsql AS $body$
DECLARE
    instant pg_catalog.timestamptz := pg_catalog.clock_timestamp();
    us pg_catalog.int8 := pg_catalog.date_part('epoch', instant) OPERATOR(pg_catalog.*) 1000000;
    setting pg_catalog.text := pg_catalog.current_setting('threadline.clock', true);
    now_us pg_catalog.int8;
    last_us pg_catalog.int8;
    slot pg_catalog.text;
BEGIN
    -- Nearly always: in nobody's trigger, later than the call before, and on the same day.
    IF pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.<=) 1
       AND (pg_catalog.concat(setting) OPERATOR(pg_catalog.=) '' OR (setting::pg_catalog.int8 OPERATOR(pg_catalog.<) us
            AND setting::pg_catalog.int8 OPERATOR(pg_catalog./) 86400000000 OPERATOR(pg_catalog.=) (us OPERATOR(pg_catalog./) 86400000000))) THEN
        setting := pg_catalog.set_config('threadline.clock', us::pg_catalog.text, true);
        RETURN instant;
    END IF;
    now_us := us;
    IF setting OPERATOR(pg_catalog.<>) '' THEN
        last_us := setting::pg_catalog.int8;
        IF last_us OPERATOR(pg_catalog.>=) us AND last_us OPERATOR(pg_catalog.-) us OPERATOR(pg_catalog.<) 86400000000 THEN
            us := last_us OPERATOR(pg_catalog.+) 1;
        END IF;
        IF last_us OPERATOR(pg_catalog./) 86400000000 OPERATOR(pg_catalog.<>) (us OPERATOR(pg_catalog./) 86400000000) THEN
            PERFORM @schema@.close_day();
        END IF;
    END IF;
    IF pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1 THEN
        FOR depth IN 1 .. pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.-) 1 LOOP
            FOREACH setting IN ARRAY ARRAY['delete', 'update', 'insert'] LOOP
                slot := @schema@.order_setting(depth, setting);
                IF pg_catalog.current_setting(slot, true) OPERATOR(pg_catalog.=) 'armed' THEN
                    PERFORM pg_catalog.set_config(slot, us::pg_catalog.text, true);
                    us := us OPERATOR(pg_catalog.+) 1;
                END IF;
            END LOOP;
        END LOOP;
    END IF;
    setting := pg_catalog.set_config('threadline.clock', us::pg_catalog.text, true);
    IF us OPERATOR(pg_catalog.<>) now_us THEN
        instant := instant OPERATOR(pg_catalog.+) pg_catalog.make_interval(secs => (us OPERATOR(pg_catalog.-) now_us)::pg_catalog.float8 OPERATOR(pg_catalog./) 1000000);
    END IF;
    RETURN instant;
END $body$;

-- The instant reserved for the statement at this depth by nested captures, if any; and disarms the slot.
CREATE FUNCTION @schema@.reserved_instant(op text, keep boolean) RETURNS timestamptz
LANGUAGE plpgsql AS $body$
DECLARE
    slot pg_catalog.text := @schema@.order_setting(pg_catalog.pg_trigger_depth(), op);
    value pg_catalog.text := pg_catalog.current_setting(slot, true);
BEGIN
    IF NOT keep THEN
        PERFORM pg_catalog.set_config(slot, '', true);
    END IF;
    IF value OPERATOR(pg_catalog.~) '^[0-9]{1,18}$' THEN
        RETURN pg_catalog.to_timestamp(0) OPERATOR(pg_catalog.+) pg_catalog.make_interval(
            secs => pg_catalog.floor(value::pg_catalog.float8 OPERATOR(pg_catalog./) 1000000))
            OPERATOR(pg_catalog.+) pg_catalog.make_interval(
            secs => (value::pg_catalog.int8 OPERATOR(pg_catalog.%) 1000000)::pg_catalog.float8 OPERATOR(pg_catalog./) 1000000);
    END IF;
    RETURN NULL;
END $body$;

-- BEFORE STATEMENT, sorted last. The first argument says whether BEFORE ROW triggers of the host come first, the second
-- whether the table is captured row by row: then an UPDATE can move rows between partitions, as DELETE and INSERT.
CREATE FUNCTION @schema@.order_begin() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $body$
DECLARE
    op pg_catalog.text;
BEGIN
    FOREACH op IN ARRAY CASE WHEN TG_OP OPERATOR(pg_catalog.=) 'UPDATE' AND TG_ARGV[1] OPERATOR(pg_catalog.=) 'row'
                             THEN ARRAY['update', 'delete', 'insert'] ELSE ARRAY[TG_OP] END LOOP
        PERFORM pg_catalog.set_config(@schema@.order_setting(pg_catalog.pg_trigger_depth(), op),
            CASE WHEN TG_ARGV[0] OPERATOR(pg_catalog.=) 'wait' THEN 'waiting' ELSE 'armed' END, true);
    END LOOP;
    RETURN NULL;
END $body$;

-- AFTER ROW, sorted first: the statement has changed its rows, what comes now follows it.
CREATE FUNCTION @schema@.order_rows() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $body$
DECLARE
    op pg_catalog.text;
BEGIN
    FOREACH op IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        IF pg_catalog.current_setting(@schema@.order_setting(pg_catalog.pg_trigger_depth(), op), true) OPERATOR(pg_catalog.=) 'waiting' THEN
            PERFORM pg_catalog.set_config(@schema@.order_setting(pg_catalog.pg_trigger_depth(), op), 'armed', true);
        END IF;
    END LOOP;
    RETURN NULL;
END $body$;

-- AFTER STATEMENT of a table captured row by row: the statement is over.
CREATE FUNCTION @schema@.order_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER AS $body$
DECLARE
    op pg_catalog.text;
BEGIN
    FOREACH op IN ARRAY ARRAY['insert', 'update', 'delete'] LOOP
        PERFORM pg_catalog.set_config(@schema@.order_setting(pg_catalog.pg_trigger_depth(), op), '', true);
    END LOOP;
    RETURN NULL;
END $body$;

-- Whether the table needs markers ('no', 'after', or 'wait' when BEFORE ROW triggers exist too). It does when it has
-- AFTER triggers of its own, or when a cascade from it reaches a table with triggers.
CREATE FUNCTION @schema@.order_need(target regclass) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    WITH RECURSIVE reached (relation) AS (
        SELECT target::oid
        UNION
        SELECT k.conrelid FROM pg_constraint k JOIN reached r ON k.confrelid = r.relation
        WHERE k.contype = 'f' AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
    ), host AS (
        -- tgtype: 1 row, 2 before, 64 instead
        SELECT t.tgrelid = target AS own, t.tgtype & 2 = 0 AS is_after, t.tgtype & 3 = 3 AS is_before_row
        FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid IN (SELECT relation FROM reached) AND NOT t.tgisinternal AND p.pronamespace <> @schema_name@::regnamespace
          AND t.tgtype & 64 = 0
          -- another kernel's triggers write another trail
          AND NOT EXISTS (SELECT FROM pg_class k WHERE k.relnamespace = p.pronamespace AND k.relname = 'audited_tables')
    )
    SELECT CASE WHEN NOT coalesce(bool_or((own AND is_after) OR NOT own), false) THEN 'no'
                WHEN bool_or(own AND is_before_row) THEN 'wait'
                ELSE 'after' END
    FROM host
$body$;
