CALL commit_batch(%(batch)s::jsonb, %(channel)s::text, %(payloads)s::text[])
