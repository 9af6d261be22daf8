SELECT j.partition, j."offset", j.outcome, j.version, s.status, s.quantity::text, s.currency
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
JOIN journal j USING (partition, "offset")
JOIN status s USING (allocation_id)
