INSERT INTO balance (connection_id, currency, available)
SELECT connection_id, currency, quantity
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (connection_id uuid, currency text, quantity numeric)
ORDER BY connection_id, currency
ON CONFLICT (connection_id, currency) DO UPDATE SET available = balance.available + excluded.available
