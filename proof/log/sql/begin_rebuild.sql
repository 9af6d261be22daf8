INSERT INTO watermark (partition, next_offset, hash)
SELECT partition, 0, decode(repeat('00', 32), 'hex')
FROM unnest(%(partitions)s::int[]) AS log (partition)
