SELECT coalesce(sum(greatest(0, last + 1 - next_offset)), 0)
FROM unnest(%(partitions)s::int[], %(lasts)s::bigint[]) AS written (partition, last)
JOIN watermark USING (partition)
