SELECT kind, allocation_id::text
FROM allocation
WHERE status = 'reserved' AND updated_at < %(before)s AND allocation_id <> ALL(%(asked)s::uuid[])
ORDER BY updated_at, allocation_id
LIMIT %(limit)s
