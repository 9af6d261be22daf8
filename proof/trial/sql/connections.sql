SELECT to_jsonb(c) FROM connection c WHERE connection_id = ANY(%(connection_ids)s::uuid[])
