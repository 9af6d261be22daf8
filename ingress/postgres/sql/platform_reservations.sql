-- A reserved row changed last when it was reserved.
SELECT
    allocation_id::text, kind, currency, quantity::text, client_id::text, connection_id::text, partners_connection_id,
    version, updated_at, greatest(0, floor(extract(EPOCH FROM now() - updated_at)))::bigint
FROM allocation
WHERE status = 'reserved'
    AND updated_at <= now() - make_interval(secs => %(older_than)s)
    AND (updated_at, allocation_id) > (%(after_instant)s::timestamptz, %(after_id)s::uuid)
    AND (%(kind)s::text IS NULL OR kind = %(kind)s::text)
    AND (%(connection_id)s::uuid IS NULL OR connection_id = %(connection_id)s::uuid)
ORDER BY updated_at, allocation_id
LIMIT %(limit)s
