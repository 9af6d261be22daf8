SELECT
    tables.name,
    rights.name,
    CASE
        WHEN rights.name IN ('DELETE', 'TRUNCATE') THEN has_table_privilege(tables.name, rights.name)
        ELSE has_any_column_privilege(tables.name, rights.name)
    END
FROM unnest(%(tables)s::text[]) AS tables (name),
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS rights (name)
WHERE to_regclass(tables.name) IS NOT NULL
