SELECT tables.name, rights.name, has_table_privilege(tables.name, rights.name)
FROM unnest(%(tables)s::text[]) AS tables (name),
    unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS rights (name)
WHERE to_regclass(tables.name) IS NOT NULL
