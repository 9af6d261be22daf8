SELECT to_jsonb(a) || jsonb_build_object('quantity', a.quantity::text)
FROM allocation a
WHERE allocation_id = ANY(%(allocation_ids)s::uuid[]) AND version > 0
