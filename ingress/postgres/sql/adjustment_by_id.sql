SELECT to_jsonb(a) FROM adjustment a WHERE adjustment_id = %(adjustment_id)s::uuid
