SELECT relname, relkind::text = 'i', CASE WHEN relkind = 'r' THEN pg_table_size(oid) ELSE pg_relation_size(oid) END
FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')
ORDER BY 2, 3 DESC
