SELECT pg_notify('watermark', %(payload)s)
