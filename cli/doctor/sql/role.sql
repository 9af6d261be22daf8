SELECT
    rolsuper OR rolcreaterole,
    (
        SELECT count(*) FROM pg_class
        WHERE oid IN (SELECT to_regclass(name) FROM unnest(%(tables)s::text[]) AS tables (name))
            AND pg_has_role(current_user, relowner, 'USAGE')
    )
FROM pg_roles WHERE rolname = current_user
