SELECT token_hash, partners_connection_id, partners_client_id, expires_at
FROM connection_token
WHERE token_hash = %(token_hash)s AND revoked_at IS NULL
