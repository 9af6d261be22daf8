UPDATE connection_token SET revoked_at = coalesce(revoked_at, now()) WHERE token_hash = %(token_hash)s
