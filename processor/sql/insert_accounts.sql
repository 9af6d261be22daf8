INSERT INTO account (connection_id, currency)
SELECT connection_id, currency
FROM unnest(%(connection_ids)s::uuid[], %(currencies)s::text[]) AS wanted (connection_id, currency)
ORDER BY connection_id, currency
ON CONFLICT DO NOTHING
