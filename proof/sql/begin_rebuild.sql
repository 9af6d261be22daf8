INSERT INTO watermark (partition, next_offset, hash)
SELECT partition, start, decode(repeat('00', 32), 'hex')
FROM unnest(%(partitions)s::int[], %(starts)s::bigint[]) AS log (partition, start)
