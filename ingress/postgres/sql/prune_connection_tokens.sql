DELETE FROM connection_token
WHERE token_hash IN (
    SELECT token_hash FROM connection_token
    WHERE expires_at < least(%(before)s, now() - %(kept)s::interval)
    ORDER BY expires_at
    LIMIT %(limit)s
)
