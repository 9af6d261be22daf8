UPDATE watermark w
SET next_offset = row.next_offset
FROM unnest(%(partitions)s::int[], %(next_offsets)s::bigint[]) AS row (partition, next_offset)
WHERE w.partition = row.partition
