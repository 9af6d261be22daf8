-- Expired by both clocks, the caller's and the database's: one that is ahead must not make a used token good again.
DELETE FROM token_claim
WHERE jti_hash IN (
    SELECT jti_hash FROM token_claim
    WHERE expires_at < least(%(before)s, now())
    ORDER BY expires_at
    LIMIT %(limit)s
)
