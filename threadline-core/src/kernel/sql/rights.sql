-- Who may do what. Runs at the end of every install and upgrade.
--
-- owner        owns everything and is what the definer functions run as. Where the installer may create roles it is a
--              role without login and without rights outside the trail; else it is the installer.
-- everyone     may set a context and ask for the id of the audit transaction: both touch nothing but settings.
-- application  may also record actions: grant_application.
-- reader       may read the trail: grant_reader.
CREATE OR REPLACE FUNCTION @schema@.apply_rights() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    owner_role text := 'threadline_owner';
    entry record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner_role) AND EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', owner_role);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- another database of the cluster was faster
        END;
    END IF;
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND NOT rolsuper)
       AND EXISTS (SELECT FROM pg_roles WHERE rolname = owner_role) AND NOT pg_has_role(current_user, owner_role, 'MEMBER') THEN
        BEGIN
            EXECUTE format('GRANT %I TO %I', owner_role, current_user);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL;  -- somebody else's cluster-wide role: the installer stays the owner
        END;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner_role AND NOT rolcanlogin AND NOT rolsuper AND NOT rolbypassrls)
       OR NOT pg_has_role(current_user, owner_role, 'MEMBER') THEN
        owner_role := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = @schema_text@);
    END IF;

    BEGIN
        EXECUTE format('ALTER SCHEMA @schema@ OWNER TO %I', owner_role);
    EXCEPTION WHEN insufficient_privilege THEN
        owner_role := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = @schema_text@);
    END;
    FOR entry IN
        SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind, c.oid::regclass::text AS label
        FROM pg_class c
        WHERE c.relnamespace = @schema_name@::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v') AND pg_get_userbyid(c.relowner) <> owner_role
          -- the sequence of an identity column follows its table
          AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i' AND d.classid = 'pg_class'::regclass))
    LOOP
        EXECUTE format('ALTER %s %s OWNER TO %I', entry.kind, entry.label, owner_role);
    END LOOP;
    FOR entry IN
        SELECT p.oid::regprocedure::text AS label, p.proname, pg_get_userbyid(p.proowner) AS owned_by FROM pg_proc p WHERE p.pronamespace = @schema_name@::regnamespace
    LOOP
        IF entry.owned_by <> owner_role THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %I', entry.label, owner_role);
        END IF;
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', entry.label);
        IF entry.proname IN ('set_context', 'enter_context', 'leave_context', 'transaction_id') THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', entry.label);
        END IF;
    END LOOP;
    EXECUTE 'GRANT USAGE ON SCHEMA @schema@ TO PUBLIC';
END $body$;

-- For the role the application connects as: everyone's rights, and to record actions.
CREATE OR REPLACE FUNCTION @schema@.grant_application(role_name name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
BEGIN
    EXECUTE format('GRANT EXECUTE ON FUNCTION @schema@.record_action(jsonb) TO %I', role_name);
END $body$;

-- For people and programs that read the trail.
CREATE OR REPLACE FUNCTION @schema@.grant_reader(role_name name) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
    entry record;
BEGIN
    EXECUTE format('GRANT SELECT ON @schema@.audit_transactions, @schema@.audit_changes, @schema@.audit_actions, @schema@.linked_changes, @schema@.audited_tables, @schema@.audited_columns, @schema@.kernel_versions, @schema@.retention_runs TO %I', role_name);
    -- What the reading functions call runs with the reader's own rights, so the reader needs all of it.
    FOR entry IN
        SELECT p.oid::regprocedure::text AS label FROM pg_proc p
        WHERE p.pronamespace = @schema_name@::regnamespace AND p.proname = ANY (ARRAY['table_hash', 'key_hash', 'table_entry', 'recorded_names',
            'row_key', 'table_facts', 'find_transactions', 'row_changes_before', 'row_changes_after', 'row_evidence', 'evidence_of',
            'live_source', 'live_image_query', 'live_images_query', 'live_image', 'table_as_of_facts', 'open_rows_as_of', 'next_rows_as_of',
            'refuse_image', 'row_from_image', 'find_changes', 'field_problem',
            'table_columns', 'sees_row_type', 'base_type', 'may_hold_bytes', 'type_route', 'type_name', 'checked_text', 'byte_from_text',
            'stored_expression'])
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', entry.label, role_name);
    END LOOP;
END $body$;

SELECT @schema@.apply_rights();
