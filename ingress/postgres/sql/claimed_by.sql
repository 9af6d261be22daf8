SELECT jti_hash, token_hash FROM token_claim WHERE jti_hash = ANY (%(jtis)s::bytea[])
