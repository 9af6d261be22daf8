SELECT connection_id::text, sequence, available::bigint
FROM account
WHERE connection_id = ANY (%(connection_ids)s::uuid[]) AND currency = 'BTC'
