INSERT INTO status (allocation_id, quantity, currency, connection_id, client_id, status, version, updated_at)
SELECT allocation_id, quantity, currency, connection_id, client_id, status, version, now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    allocation_id uuid, quantity numeric, currency text, connection_id uuid, client_id uuid, status text, version integer
)
ON CONFLICT (allocation_id) DO UPDATE
SET status = excluded.status, version = excluded.version, updated_at = excluded.updated_at
