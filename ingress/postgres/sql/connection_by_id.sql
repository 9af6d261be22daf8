SELECT to_jsonb(c) FROM connection c WHERE connection_id = %(connection_id)s::uuid
