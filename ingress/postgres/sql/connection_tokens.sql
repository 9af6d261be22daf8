SELECT
    t.token_hash, t.partners_connection_id, t.partners_client_id, t.issued_by, t.issued_at, t.expires_at, t.revoked_at,
    c.connection_id::text
FROM connection_token t
LEFT JOIN connection c ON c.token_hash = t.token_hash
WHERE t.expires_at > now()
ORDER BY t.issued_at DESC, t.token_hash
LIMIT %(limit)s
