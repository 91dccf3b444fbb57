-- The capture policy of a table: what it may say, checked against the live catalog.

CREATE FUNCTION @schema@.refuse_policy(code text, message text, remedy text, target regclass, column_name text DEFAULT '') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = 'threadline: ' || message,
        ERRCODE = CASE code WHEN 'invalid_policy' THEN 'TL004' WHEN 'unsupported_table' THEN 'TL005' WHEN 'unknown_column' THEN 'TL006' ELSE 'TL009' END,
        CONSTRAINT = 'threadline_' || code,
        HINT = remedy,
        SCHEMA = coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target), ''),
        TABLE = coalesce((SELECT relname FROM pg_class WHERE oid = target), ''),
        COLUMN = column_name;
END $body$;

-- Refuses what capture cannot watch. Returns 'statement' or 'row'.
CREATE FUNCTION @schema@.capture_level(target regclass) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    class pg_class;
    label text;
BEGIN
    SELECT * INTO class FROM pg_class WHERE oid = target;
    IF NOT FOUND THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('there is no table with oid %s', target::oid), 'Name an existing table.', target);
    END IF;
    SELECT format('%I.%I', nspname, class.relname) INTO label FROM pg_namespace WHERE oid = class.relnamespace;
    IF class.relnamespace = @schema_name@::regnamespace THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is one of Threadline''s own tables', label), 'Capture the tables of your application.', target);
    ELSIF class.relkind IN ('v', 'm') THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is a view', label), 'Capture the tables under it: writes through an updatable view are captured there.', target);
    ELSIF class.relkind = 'f' THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is a foreign table', label), 'Capture it on the server that holds its rows.', target);
    ELSIF class.relkind NOT IN ('r', 'p') THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is not a table', label), 'Name a table.', target);
    ELSIF class.relpersistence = 't' THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is a temporary table', label), 'Capture a permanent table.', target);
    ELSIF class.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is a system table', label), 'Capture the tables of your application.', target);
    ELSIF class.relispartition THEN
        PERFORM @schema@.refuse_policy('unsupported_table', format('%s is a partition', label),
            format('Capture the partitioned table it belongs to, %s: its changes are recorded under that name.', pg_partition_root(target)), target);
    END IF;
    RETURN CASE
        WHEN class.relkind = 'p' OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = target OR inhrelid = target) THEN 'row'
        -- All cascades of one statement share one transition table per operation, and the order of its UPDATE and DELETE says
        -- nothing about the rows: a table that cascades both update and delete is captured row by row, in the order of the
        -- changes.
        WHEN EXISTS (SELECT FROM pg_constraint WHERE conrelid = target AND contype = 'f' AND confdeltype = 'c')
             AND EXISTS (SELECT FROM pg_constraint WHERE conrelid = target AND contype = 'f' AND (confdeltype IN ('n', 'd') OR confupdtype IN ('c', 'n', 'd'))) THEN 'row'
        -- A cascade into the table runs its host triggers at another depth than its statement triggers: markers miss it, a
        -- row trigger that comes first does not.
        WHEN @schema@.order_need(target) <> 'no'
             AND EXISTS (SELECT FROM pg_constraint WHERE conrelid = target AND contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))) THEN 'row'
        ELSE 'statement' END;
END $body$;

-- The columns that identify a row: the primary key, else a unique index that can serve as one (valid, immediate, whole,
-- over plain NOT NULL columns; the replica identity first, then the narrowest). Empty when there is none.
CREATE FUNCTION @schema@.key_columns(target regclass) RETURNS text[]
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
    SELECT coalesce((
        SELECT array_agg(a.attname::text ORDER BY k.ordinality)
        FROM (
            SELECT i.indkey::int2[] AS attnums, i.indnkeyatts
            FROM pg_index i
            WHERE i.indrelid = target AND i.indisunique AND i.indisvalid
              AND (i.indisprimary OR (i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
                   AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS u (attnum, n)
                                   JOIN pg_attribute c ON c.attrelid = target AND c.attnum = u.attnum
                                   WHERE u.n <= i.indnkeyatts AND NOT c.attnotnull)))
            ORDER BY i.indisprimary DESC, i.indisreplident DESC, i.indnkeyatts, i.indexrelid
            LIMIT 1
        ) AS key
        CROSS JOIN LATERAL unnest(key.attnums) WITH ORDINALITY AS k (attnum, ordinality)
        JOIN pg_attribute a ON a.attrelid = target AND a.attnum = k.attnum
        WHERE k.ordinality <= key.indnkeyatts), '{}')
$body$;

-- The policy with every field present, or an error that names the field, the table and the column.
CREATE FUNCTION @schema@.complete_policy(target regclass, policy jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    given jsonb := coalesce(policy, '{}');
    complete jsonb;
    label text := (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = target);
    keys text[] := @schema@.key_columns(target);
    columns text[] := ARRAY(SELECT name FROM @schema@.table_columns(target));
    field text;
    value jsonb;
    bad text;
    lean boolean;
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        PERFORM @schema@.refuse_policy('invalid_policy', format('the policy for %s is not a JSON object', label), 'Give an object such as {"mask": ["email"]}.', target);
    END IF;
    FOR field, value IN SELECT * FROM jsonb_each(given) LOOP
        IF NOT coalesce(CASE
            WHEN field IN ('exclude', 'mask', 'except_columns') THEN jsonb_typeof(value) = 'array' AND NOT jsonb_path_exists(value, '$[*] ? (@.type() != "string")')
            WHEN field IN ('before_values', 'require_actor') THEN jsonb_typeof(value) = 'boolean'
            WHEN field = 'mask_placeholder' THEN jsonb_typeof(value) = 'string'
            WHEN field = 'images' THEN value IN ('"full"', '"lean"')
            WHEN field = 'truncate' THEN value IN ('"event"', '"rows"', '"refuse"')
            ELSE false END, false) THEN
            PERFORM @schema@.refuse_policy('invalid_policy', format('the policy field %s for %s is unknown or has a value of the wrong type', quote_ident(field), label),
                'Known fields: exclude, mask, except_columns (arrays of column names), mask_placeholder (text), before_values, require_actor (booleans), images (full, lean), truncate (event, rows, refuse).', target);
        END IF;
    END LOOP;
    lean := given ->> 'images' = 'lean';
    complete := jsonb_build_object('exclude', '[]'::jsonb, 'mask', '[]'::jsonb, 'mask_placeholder', '[REDACTED]', 'except_columns', '[]'::jsonb,
        'before_values', true, 'images', 'full', 'require_actor', false, 'truncate', CASE WHEN lean THEN 'rows' ELSE 'event' END) || given;

    FOR field, bad IN SELECT f, c FROM unnest(ARRAY['exclude', 'mask', 'except_columns']) AS f, jsonb_array_elements_text(complete -> f) AS c
                      WHERE NOT c = ANY (columns) LOOP
        PERFORM @schema@.refuse_policy('unknown_column', format('%s names column %s, which table %s does not have', field, quote_ident(bad), label),
            'Columns of the table: ' || array_to_string(columns, ', ') || '.', target, bad);
    END LOOP;
    FOR bad IN SELECT jsonb_array_elements_text(complete -> 'exclude') INTERSECT SELECT jsonb_array_elements_text(complete -> 'mask') LOOP
        PERFORM @schema@.refuse_policy('invalid_policy', format('column %s of %s is both excluded and masked', quote_ident(bad), label),
            'Choose one: exclude leaves the column out, mask records that it changed.', target, bad);
    END LOOP;
    FOR bad IN SELECT k FROM unnest(keys) AS k WHERE complete -> 'exclude' ? k OR complete -> 'mask' ? k LOOP
        PERFORM @schema@.refuse_policy('invalid_policy', format('column %s belongs to the key of %s and cannot be redacted', quote_ident(bad), label),
            'A row without its key cannot be found again. Use a surrogate key if the key itself is secret.', target, bad);
    END LOOP;
    IF btrim(complete ->> 'mask_placeholder') = '' OR length(complete ->> 'mask_placeholder') > 200 OR complete ->> 'mask_placeholder' ~ '[\u0001-\u001f\u007f-\u009f]' THEN
        PERFORM @schema@.refuse_policy('invalid_policy', format('the mask placeholder for %s is empty, longer than 200 characters, or has control characters', label),
            'Use a short visible text such as [REDACTED].', target);
    END IF;
    IF lean AND (complete -> 'before_values' = 'false' OR complete -> 'except_columns' <> '[]' OR complete ->> 'truncate' = 'event' OR keys = '{}') THEN
        PERFORM @schema@.refuse_policy('invalid_policy', format('lean images for %s need before-values of every column, a key, and TRUNCATE recorded row by row or refused', label),
            'Lean images are rebuilt from before-values: keep before_values, leave except_columns empty, set truncate to rows or refuse, and give the table a key; or use full images.', target);
    END IF;
    RETURN complete;
END $body$;
