SELECT j.partition, j."offset", j.command_id::text, d.value
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
JOIN journal j USING (partition, "offset")
LEFT JOIN dead_letter d USING (partition, "offset")
