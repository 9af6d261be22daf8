SELECT to_jsonb(c) - 'token_hash'
FROM connection c
WHERE (%(partners_connection_id)s::text IS NULL OR partners_connection_id = %(partners_connection_id)s::text)
    AND (%(client_id)s::uuid IS NULL OR client_id = %(client_id)s::uuid)
    AND (%(status)s::text IS NULL OR status = %(status)s::text)
    AND (%(after)s::uuid IS NULL OR connection_id > %(after)s::uuid)
ORDER BY connection_id
LIMIT %(limit)s
