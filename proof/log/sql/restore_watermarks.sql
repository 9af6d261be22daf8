INSERT INTO watermark (partition, next_offset, hash, pruned_before)
SELECT partition, next_offset, decode(hash, 'hex'), next_offset
FROM unnest(%(partitions)s::int[], %(next_offsets)s::bigint[], %(hashes)s::text[]) AS mark (partition, next_offset, hash)
