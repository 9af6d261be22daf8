SELECT allocation_id::text, quantity::text, currency, connection_id::text, client_id::text, status, version
FROM status
WHERE allocation_id = ANY (%(allocation_ids)s::uuid[])
