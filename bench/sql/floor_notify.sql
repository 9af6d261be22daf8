SELECT pg_notify('floor', %(payload)s)
