SELECT partition, hash
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
JOIN journal USING (partition, "offset")
