SELECT to_jsonb(c) - 'token_hash' FROM connection c WHERE connection_id = %(connection_id)s::uuid
