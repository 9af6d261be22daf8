INSERT INTO connection_token (token_hash, partners_connection_id, partners_client_id, issued_by, expires_at)
VALUES (
    %(token_hash)s, %(partners_connection_id)s, %(partners_client_id)s, %(issued_by)s, now() + %(lifetime)s::interval
)
RETURNING expires_at
