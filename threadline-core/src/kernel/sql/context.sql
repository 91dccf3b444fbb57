-- Context: who and why, from transaction-local settings; and the grouping of changes into audit transactions.

-- Whether this is an actor: one of six kinds, with an id unless anonymous, possibly on behalf of another. NULL is no
-- actor, and allowed.
CREATE FUNCTION @schema@.is_actor(actor jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $body$
DECLARE
    kind pg_catalog.text := actor OPERATOR(pg_catalog.->>) 'type';
BEGIN
    IF actor IS NULL THEN
        RETURN true;
    END IF;
    IF kind OPERATOR(pg_catalog.=) ANY (ARRAY['user', 'admin', 'service_account', 'job', 'system']) THEN
        IF pg_catalog.jsonb_typeof(actor OPERATOR(pg_catalog.->) 'id') OPERATOR(pg_catalog.<>) 'string'
           OR (actor OPERATOR(pg_catalog.->>) 'id') OPERATOR(pg_catalog.=) '' OR NOT actor OPERATOR(pg_catalog.?) 'id' THEN
            RETURN false;
        END IF;
    ELSIF kind IS NULL OR kind OPERATOR(pg_catalog.<>) 'anonymous' OR actor OPERATOR(pg_catalog.?) 'id' THEN
        RETURN false;
    END IF;
    IF actor OPERATOR(pg_catalog.?) 'on_behalf_of' THEN
        RETURN pg_catalog.jsonb_typeof(actor OPERATOR(pg_catalog.->) 'on_behalf_of') OPERATOR(pg_catalog.=) 'object'
            AND @schema@.is_actor(actor OPERATOR(pg_catalog.->) 'on_behalf_of');
    END IF;
    RETURN true;
END $body$;

-- The two context settings as JSON. A malformed value raises one clear error that names the setting, never its content.
CREATE FUNCTION @schema@.parse_context(actor_text text, context_text text, OUT actor jsonb, OUT context jsonb)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    setting text := 'threadline.actor_ref';
BEGIN
    BEGIN
        actor := CASE WHEN actor_text <> '' THEN actor_text::jsonb END;
        setting := 'threadline.context';
        context := CASE WHEN context_text <> '' THEN context_text::jsonb END;
    EXCEPTION WHEN data_exception OR untranslatable_character OR statement_too_complex THEN
        PERFORM @schema@.refuse_context(setting);
    END;
    IF NOT @schema@.is_actor(actor) THEN
        PERFORM @schema@.refuse_context('threadline.actor_ref');
    END IF;
    IF jsonb_typeof(context) <> 'object' THEN
        PERFORM @schema@.refuse_context('threadline.context');
    END IF;
END $body$;

CREATE FUNCTION @schema@.refuse_context(setting text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RAISE EXCEPTION 'threadline: the setting % is malformed', setting
        USING ERRCODE = 'TL002', CONSTRAINT = 'threadline_malformed_context',
              DETAIL = CASE setting
                  WHEN 'threadline.actor_ref' THEN 'Expected JSON such as {"type":"user","id":"42"}; type is one of user, admin, service_account, job, system, anonymous (anonymous has no id).'
                  ELSE 'Expected a JSON object with any of correlation_id, request_id, job_id, source, remote_ip, meta.' END,
              HINT = format('Set it for the transaction with set_config(%L, .., true), or clear it with an empty value.', setting);
END $body$;

CREATE FUNCTION @schema@.refuse_missing_actor(table_schema text, table_name text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RAISE EXCEPTION 'threadline: table %.% accepts changes only from a known actor', quote_ident(table_schema), quote_ident(table_name)
        USING ERRCODE = 'TL001', CONSTRAINT = 'threadline_missing_actor', SCHEMA = table_schema, TABLE = table_name,
              HINT = 'Write inside an audited transaction, or SELECT set_config(''threadline.actor_ref'', ''{"type":"user","id":".."}'', true) first.';
END $body$;

-- What identifies the current unit of work: the database transaction, a digest of the context, and the current action.
-- The trailing space makes it a prefix that no other mark starts with. Capture functions carry the same expression inline.
CREATE FUNCTION @schema@.transaction_mark() RETURNS text
LANGUAGE sql STABLE AS $body$
    SELECT pg_catalog.concat(pg_catalog.pg_current_xact_id()::pg_catalog.text, ' ', pg_catalog.hashtextextended(pg_catalog.concat(
        pg_catalog.current_setting('threadline.actor_ref', true), E'\n',
        pg_catalog.current_setting('threadline.context', true)), 0)::pg_catalog.text,
        '/', pg_catalog.current_setting(@action_setting@, true), ' ')
$body$;

-- The units this transaction has opened so far, oldest first: '<xid> <digest>/<action>=<id>=<ctid> ..'. A unit of a day
-- that is over has a ! before it. Empty when the setting belongs to another transaction.
CREATE FUNCTION @schema@.opened_units() RETURNS text
LANGUAGE sql STABLE AS $body$
    SELECT CASE WHEN pg_catalog.starts_with(units, this_xid) THEN units ELSE this_xid END
    FROM (SELECT pg_catalog.concat(pg_catalog.current_setting(@units_setting@, true)) AS units,
                 pg_catalog.concat(pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text, ' ') AS this_xid) AS s
$body$;

-- The id of the oldest opened unit whose name starts with `prefix`; NULL when there is none.
CREATE FUNCTION @schema@.find_unit(units text, prefix text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $body$
    SELECT CASE WHEN pg_catalog.strpos(units, ' ' OPERATOR(pg_catalog.||) prefix) OPERATOR(pg_catalog.>) 0 THEN
        pg_catalog.split_part(pg_catalog.split_part(pg_catalog.substr(units,
            pg_catalog.strpos(units, ' ' OPERATOR(pg_catalog.||) prefix) OPERATOR(pg_catalog.+) 1), ' ', 1), '=', 2)::pg_catalog.int8 END
$body$;

-- Closes the units opened so far: what comes after midnight (UTC) opens its own. So no audit transaction has changes of
-- two days, and whoever reads by what it says knows within which day of its first change to look for the others.
CREATE FUNCTION @schema@.close_day() RETURNS void
LANGUAGE plpgsql AS $body$
BEGIN
    PERFORM pg_catalog.set_config(@units_setting@, pg_catalog.regexp_replace(@schema@.opened_units(), ' ([^! ])', ' !\1', 'g'), true),
            pg_catalog.set_config(@tx_setting@, '', true);
END $body$;

-- The row that groups the changes of the current unit of work, found or made. Capture calls it for the first change of
-- a unit; every later statement reads the id out of the setting. Rolling back to a savepoint undoes the settings
-- together with the row. Coming back to an outer context comes back to its row.
-- Every expression here is set up anew in each transaction that comes by, so there are few of them.
CREATE FUNCTION @schema@.open_transaction(mark text, instant timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $body$
DECLARE
    units pg_catalog.text := pg_catalog.current_setting(@units_setting@, true);
    actor pg_catalog.jsonb;
    context pg_catalog.jsonb;
    found_id pg_catalog.int8;
    settings pg_catalog.text;
BEGIN
    IF pg_catalog.starts_with(units, pg_catalog.split_part(mark, ' ', 1) OPERATOR(pg_catalog.||) ' ') THEN
        found_id := @schema@.find_unit(units, pg_catalog.split_part(mark, ' ', 2) OPERATOR(pg_catalog.||) '=');
        IF found_id IS NOT NULL THEN
            PERFORM pg_catalog.set_config(@tx_setting@, pg_catalog.concat(mark, found_id), true);
            RETURN found_id;
        END IF;
    ELSE
        units := pg_catalog.split_part(mark, ' ', 1);
    END IF;
    BEGIN
        actor := CASE WHEN pg_catalog.current_setting('threadline.actor_ref', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('threadline.actor_ref', true)::pg_catalog.jsonb END;
        context := CASE WHEN pg_catalog.current_setting('threadline.context', true) OPERATOR(pg_catalog.<>) '' THEN pg_catalog.current_setting('threadline.context', true)::pg_catalog.jsonb END;
    EXCEPTION WHEN data_exception OR untranslatable_character OR statement_too_complex THEN
        -- says which of the two, and raises
        PERFORM @schema@.parse_context(pg_catalog.current_setting('threadline.actor_ref', true), pg_catalog.current_setting('threadline.context', true));
    END;
    -- The plain cases at a glance; everything else is looked at closely.
    IF NOT coalesce((actor IS NULL OR actor OPERATOR(pg_catalog.@@)
            '$.type() == "object" && $.type.type() == "string" && ($.type == "user" || $.type == "admin" || $.type == "service_account" || $.type == "job" || $.type == "system") && $.id.type() == "string" && $.id != "" && !exists($.on_behalf_of)'::pg_catalog.jsonpath)
            AND (context IS NULL OR pg_catalog.jsonb_typeof(context) OPERATOR(pg_catalog.=) 'object'), false) THEN
        PERFORM @schema@.parse_context(pg_catalog.current_setting('threadline.actor_ref', true), pg_catalog.current_setting('threadline.context', true));
    END IF;
    INSERT INTO @schema@.audit_transactions AS opened (xid, occurred_at, actor_ref, action_id, correlation_id, request_id, job_id,
        source, remote_ip, meta, session_role, current_role_name, application_name)
    VALUES (pg_catalog.pg_current_xact_id(), instant, actor,
        CASE WHEN pg_catalog.starts_with(pg_catalog.current_setting(@action_setting@, true), pg_catalog.split_part(mark, ' ', 1) OPERATOR(pg_catalog.||) ':')
             THEN pg_catalog.split_part(pg_catalog.current_setting(@action_setting@, true), ':', 2)::pg_catalog.int8 END,
        context OPERATOR(pg_catalog.->>) 'correlation_id', context OPERATOR(pg_catalog.->>) 'request_id',
        context OPERATOR(pg_catalog.->>) 'job_id', context OPERATOR(pg_catalog.->>) 'source',
        context OPERATOR(pg_catalog.->>) 'remote_ip', context OPERATOR(pg_catalog.->) 'meta',
        session_user, pg_catalog.current_setting('role'), pg_catalog.current_setting('application_name'))
    -- The settings come with the row: an assignment of their own would be set up once more.
    RETURNING opened.id, pg_catalog.concat(
        pg_catalog.set_config(@units_setting@, pg_catalog.concat(units, ' ', pg_catalog.split_part(mark, ' ', 2), '=', opened.id, '=', opened.ctid), true),
        pg_catalog.set_config(@tx_setting@, pg_catalog.concat(mark, opened.id), true),
        CASE WHEN pg_catalog.concat(pg_catalog.current_setting('threadline.clock', true)) OPERATOR(pg_catalog.=) ''
             THEN pg_catalog.set_config('threadline.clock', ((pg_catalog.date_part('epoch', instant) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8)::pg_catalog.text, true) END)
    INTO found_id, settings;
    RETURN found_id;
END $body$;

-- The audit transaction that the current context opened in this database transaction; NULL when it captured nothing.
-- A context with several actions, or of several days, has a row for each: the first is returned.
CREATE FUNCTION @schema@.transaction_id() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER AS $body$
    SELECT CASE WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL THEN
        @schema@.find_unit(pg_catalog.replace(@schema@.opened_units(), '!', ''),
            pg_catalog.split_part(pg_catalog.split_part(@schema@.transaction_mark(), ' ', 2), '/', 1) OPERATOR(pg_catalog.||) '/') END
$body$;

-- Sets the context for the rest of the transaction. What an adapter does with set_config, for people in psql.
CREATE FUNCTION @schema@.set_context(actor_ref jsonb, context jsonb DEFAULT '{}') RETURNS void
LANGUAGE plpgsql SECURITY DEFINER AS $body$
BEGIN
    PERFORM @schema@.parse_context(actor_ref::pg_catalog.text, context::pg_catalog.text);
    PERFORM pg_catalog.set_config('threadline.actor_ref', pg_catalog.concat(actor_ref::pg_catalog.text), true);
    PERFORM pg_catalog.set_config('threadline.context', pg_catalog.concat(context::pg_catalog.text), true);
    PERFORM pg_catalog.set_config(@action_setting@, '', true);
END $body$;

-- Enters a nested context and returns what leave_context needs to restore the outer one, its action included: a
-- transaction-local setting survives RELEASE SAVEPOINT, so the client has to put it back.
CREATE FUNCTION @schema@.enter_context(actor_ref text, context text) RETURNS text
LANGUAGE plpgsql AS $body$
DECLARE
    previous pg_catalog.text := pg_catalog.jsonb_build_object(
        'actor_ref', pg_catalog.concat(pg_catalog.current_setting('threadline.actor_ref', true)),
        'context', pg_catalog.concat(pg_catalog.current_setting('threadline.context', true)),
        'action', pg_catalog.concat(pg_catalog.current_setting(@action_setting@, true)))::pg_catalog.text;
BEGIN
    PERFORM pg_catalog.set_config('threadline.actor_ref', pg_catalog.concat(actor_ref), true);
    PERFORM pg_catalog.set_config('threadline.context', pg_catalog.concat(context), true);
    PERFORM pg_catalog.set_config(@action_setting@, '', true);
    RETURN previous;
END $body$;

CREATE FUNCTION @schema@.leave_context(previous text) RETURNS void
LANGUAGE plpgsql AS $body$
DECLARE
    outer_context pg_catalog.jsonb := previous::pg_catalog.jsonb;
BEGIN
    PERFORM pg_catalog.set_config('threadline.actor_ref', outer_context OPERATOR(pg_catalog.->>) 'actor_ref', true);
    PERFORM pg_catalog.set_config('threadline.context', outer_context OPERATOR(pg_catalog.->>) 'context', true);
    PERFORM pg_catalog.set_config(@action_setting@, outer_context OPERATOR(pg_catalog.->>) 'action', true);
END $body$;

-- Records a semantic action and makes it the current one: it covers the changes that follow it in the same context.
-- The first action of a context also covers the changes made before it.
CREATE FUNCTION @schema@.record_action(action jsonb) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    who record;
    actor jsonb;
    key text;
    value jsonb;
    new_id bigint;
    this_xid text := pg_current_xact_id()::text;
    mark text := @schema@.transaction_mark();
    units text := @schema@.opened_units();
    unit text := split_part(mark, ' ', 2);
    place text;
    moved tid;
BEGIN
    FOR key, value IN SELECT * FROM jsonb_each(CASE jsonb_typeof(action) WHEN 'object' THEN action END) LOOP
        IF NOT key = ANY (ARRAY['name', 'status', 'verb', 'category', 'reason', 'comment', 'correlation_id', 'request_id', 'job_id', 'actor_ref'])
           OR (key <> 'actor_ref' AND jsonb_typeof(value) NOT IN ('string', 'null')) THEN
            PERFORM @schema@.refuse_action(format('the field %s is unknown or not a string', quote_ident(key)));
        END IF;
    END LOOP;
    IF coalesce(btrim(action ->> 'name'), '') = '' THEN
        PERFORM @schema@.refuse_action('it has no name');
    END IF;
    IF NOT coalesce(action ->> 'status', 'ok') IN ('ok', 'error') THEN
        PERFORM @schema@.refuse_action('the status is neither ok nor error');
    END IF;
    who := @schema@.parse_context(current_setting('threadline.actor_ref', true), current_setting('threadline.context', true));
    actor := CASE WHEN jsonb_typeof(action -> 'actor_ref') <> 'null' THEN action -> 'actor_ref' END;
    IF actor IS NOT NULL THEN
        PERFORM @schema@.parse_context(actor::text, '');
    END IF;
    actor := coalesce(actor, who.actor);
    IF actor IS NULL THEN
        RAISE EXCEPTION 'threadline: an action needs an actor'
            USING ERRCODE = 'TL001', CONSTRAINT = 'threadline_missing_actor',
                  HINT = 'Record it inside an audited transaction with an actor, or give the action its own actor_ref.';
    END IF;
    INSERT INTO @schema@.audit_actions (name, actor_ref, status, verb, category, reason, comment, correlation_id, request_id, job_id, recorded_at)
    VALUES (btrim(action ->> 'name'), actor, coalesce(action ->> 'status', 'ok'), action ->> 'verb', action ->> 'category',
        action ->> 'reason', action ->> 'comment',
        coalesce(action ->> 'correlation_id', who.context ->> 'correlation_id'),
        coalesce(action ->> 'request_id', who.context ->> 'request_id'),
        coalesce(action ->> 'job_id', who.context ->> 'job_id'), clock_timestamp())
    RETURNING id INTO new_id;
    IF split_part(unit, '/', 2) = '' THEN
        -- More than one when midnight lies between them.
        FOREACH place IN ARRAY string_to_array(units, ' ') LOOP
            CONTINUE WHEN NOT starts_with(ltrim(place, '!'), split_part(unit, '/', 1) || '/=');
            -- By its place, not by an index: an index scan would predicate-lock pages that every other transaction writes.
            -- occurred_at does not precede the transaction (but for a clock that steps back): older partitions stay out.
            UPDATE @schema@.audit_transactions SET action_id = new_id
            WHERE ctid = split_part(place, '=', 3)::tid AND id = split_part(place, '=', 2)::bigint AND action_id IS NULL
              AND occurred_at >= transaction_timestamp() - interval '1 day'
            RETURNING ctid INTO STRICT moved;
            units := rtrim(replace(units || ' ', ' ' || place || ' ',
                format(' %s/%s:%s=%s=%s ', split_part(place, '/', 1), this_xid, new_id, split_part(place, '=', 2), moved)));
            PERFORM set_config(@units_setting@, units, true);
        END LOOP;
    END IF;
    PERFORM set_config(@action_setting@, this_xid || ':' || new_id, true);
    RETURN new_id;
END $body$;

CREATE FUNCTION @schema@.refuse_action(problem text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RAISE EXCEPTION 'threadline: the action cannot be recorded: %', problem
        USING ERRCODE = 'TL008', CONSTRAINT = 'threadline_invalid_action',
              HINT = 'An action is a JSON object with name and any of status (ok, error), verb, category, reason, comment, correlation_id, request_id, job_id, actor_ref.';
END $body$;
