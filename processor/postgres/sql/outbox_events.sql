SELECT w.partition, w.next_offset, true, j."offset", j.subject_id, j.event, j.facts, j.hash
FROM unnest(%(partitions)s::int[], %(afters)s::bigint[]) AS seen (partition, after)
JOIN watermark w USING (partition)
LEFT JOIN LATERAL (
    SELECT "offset", subject_id::text, event, facts, hash
    FROM journal
    WHERE partition = seen.partition AND "offset" > seen.after AND event IS NOT NULL
    ORDER BY "offset"
    LIMIT %(limit)s
) j ON true
WHERE w.next_offset > seen.after + 1
ORDER BY w.partition, j."offset"
