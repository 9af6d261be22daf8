SELECT to_jsonb(allocation) || jsonb_build_object('quantity', quantity::text)
FROM allocation
WHERE version > 0
    AND (%(allocation_ids)s::uuid[] IS NULL OR allocation_id = ANY(%(allocation_ids)s::uuid[]))
    AND (%(types)s::text[] IS NULL OR kind = ANY(%(types)s::text[]))
    AND (%(statuses)s::text[] IS NULL OR status = ANY(%(statuses)s::text[]))
    AND (%(currencies)s::text[] IS NULL OR currency = ANY(%(currencies)s::text[]))
    AND (%(connection_ids)s::uuid[] IS NULL OR connection_id = ANY(%(connection_ids)s::uuid[]))
    AND (%(client_ids)s::uuid[] IS NULL OR client_id = ANY(%(client_ids)s::uuid[]))
    AND (%(partner_ids)s::text[] IS NULL OR partner_allocation_id = ANY(%(partner_ids)s::text[]))
-- order
LIMIT %(page_size)s OFFSET %(offset)s
