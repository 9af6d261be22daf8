SELECT
    connection_id::text, status, version, client_id::text, client_wallet_id, partner_id, partners_client_id,
    partners_connection_id, token_hash, created_at, updated_at
FROM connection
ORDER BY connection_id
