CALL commit_batch(%(batch)s::jsonb, %(payloads)s::text[])
