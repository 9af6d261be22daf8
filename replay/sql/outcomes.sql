SELECT outcome, reason, count(*)
FROM unnest(%(partitions)s::int[], %(firsts)s::bigint[], %(lasts)s::bigint[]) AS written (partition, first, last)
JOIN journal j ON j.partition = written.partition AND j."offset" BETWEEN first AND last
GROUP BY outcome, reason
ORDER BY outcome, reason
