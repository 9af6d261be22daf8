SELECT save_batch(%(batch)s::jsonb)
