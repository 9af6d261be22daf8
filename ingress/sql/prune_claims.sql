DELETE FROM token_claim
WHERE jti_hash IN (SELECT jti_hash FROM token_claim WHERE expires_at < %(before)s ORDER BY expires_at LIMIT %(limit)s)
