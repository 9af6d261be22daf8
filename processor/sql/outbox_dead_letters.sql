SELECT w.partition, w.next_offset, d."offset", d.key, d.value, d.header_names, d.header_values, d.reason
FROM unnest(%(partitions)s::int[], %(afters)s::bigint[]) AS seen (partition, after)
JOIN watermark w USING (partition)
LEFT JOIN LATERAL (
    SELECT "offset", key, value, header_names, header_values, reason
    FROM dead_letter
    WHERE partition = seen.partition AND "offset" > seen.after
    ORDER BY "offset"
    LIMIT %(limit)s
) d ON true
WHERE w.next_offset > seen.after + 1
ORDER BY w.partition, d."offset"
