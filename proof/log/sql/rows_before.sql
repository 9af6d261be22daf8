-- A partition whose journal begins before its log does.
SELECT partition
FROM unnest(%(partitions)s::int[], %(starts)s::bigint[]) AS log (partition, start)
WHERE EXISTS (SELECT FROM journal WHERE journal.partition = log.partition AND "offset" < start)
LIMIT 1
