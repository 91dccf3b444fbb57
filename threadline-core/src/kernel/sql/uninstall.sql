-- Host tables keep their rows; only our triggers go. The schema goes with everything in it.
DO $threadline_uninstall$
DECLARE
    entry record;
BEGIN
    FOR entry IN
        SELECT t.tgname, t.tgrelid::pg_catalog.regclass AS label
        FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
            JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        WHERE n.nspname = @schema_text@ AND c.relnamespace <> n.oid AND t.tgparentid = 0
    LOOP
        EXECUTE pg_catalog.format('DROP TRIGGER %I ON %s', entry.tgname, entry.label);
    END LOOP;
    -- What enable_capture granted, unless another kernel in this database still needs it.
    IF NOT EXISTS (SELECT FROM pg_namespace WHERE pg_get_userbyid(nspowner) = 'threadline_owner' AND nspname <> @schema_text@) THEN
        FOR entry IN
            SELECT n.nspname FROM pg_namespace n JOIN pg_roles r ON r.rolname = 'threadline_owner'
            WHERE n.nspowner <> r.oid AND EXISTS (SELECT FROM aclexplode(n.nspacl) a WHERE a.grantee = r.oid AND a.privilege_type = 'USAGE')
        LOOP
            EXECUTE format('REVOKE USAGE ON SCHEMA %I FROM threadline_owner', entry.nspname);
        END LOOP;
    END IF;
END $threadline_uninstall$;
DROP SCHEMA IF EXISTS @schema@ CASCADE;
-- The owner's role goes too, unless another database of the cluster still uses it or we may not drop it.
DO $threadline_uninstall$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'threadline_owner') THEN
        DROP ROLE threadline_owner;
    END IF;
-- internal_error: a database that held something of the role is being dropped at this moment
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist OR undefined_object OR object_in_use OR internal_error THEN
    NULL;
END $threadline_uninstall$;
