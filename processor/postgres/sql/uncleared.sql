SELECT coalesce(sum(quantity), 0)::text
FROM allocation
WHERE connection_id = %(connection_id)s AND currency = %(currency)s AND kind = 'allocation' AND status = 'reserved'
