INSERT INTO token_claim (jti_hash, token_hash, expires_at)
SELECT jti_hash, token_hash, to_timestamp(expires_at)
FROM unnest(%(jtis)s::bytea[], %(tokens)s::bytea[], %(expiries)s::float8[])
AS wanted (jti_hash, token_hash, expires_at)
ORDER BY jti_hash
ON CONFLICT DO NOTHING
RETURNING jti_hash
