INSERT INTO claim (jti, expires_at)
SELECT jti, expires_at FROM unnest(%(jtis)s::text[], %(expiries)s::bigint[]) AS row (jti, expires_at)
