SELECT adjustment_id::text, connection_id::text, reason, entries, created_at
FROM adjustment
ORDER BY adjustment_id
