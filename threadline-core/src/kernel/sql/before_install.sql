-- A schema or an owner's role that somebody else made first could hold triggers and types of his that would run as the
-- installer.
DO $threadline_install$
DECLARE
    owned_by text := (SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = @schema_text@);
    strangers text;
BEGIN
    IF owned_by NOT IN (current_user, 'threadline_owner') THEN
        RAISE EXCEPTION 'threadline: the schema % exists already and belongs to %', @schema_text@, owned_by
            USING ERRCODE = 'TL010', CONSTRAINT = 'threadline_foreign_schema',
                  HINT = 'Install as that role, drop the schema, or choose another name for ours.';
    END IF;
    SELECT string_agg(m.member::regrole::text, ', ') INTO strangers
    FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid JOIN pg_roles x ON x.oid = m.member
    WHERE r.rolname = 'threadline_owner' AND NOT x.rolsuper AND x.rolname <> current_user;
    IF strangers IS NOT NULL AND (owned_by = 'threadline_owner' OR owned_by IS NULL)
       AND (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE EXCEPTION 'threadline: the role threadline_owner has members who could act as the owner of the trail: %', strangers
            USING ERRCODE = 'TL010', CONSTRAINT = 'threadline_foreign_schema',
                  HINT = 'REVOKE threadline_owner from them, or install as one of them.';
    END IF;
END $threadline_install$;
