SELECT
    d.partition, d."offset", d.reason, d.recorded_at, substring(d.key FROM 1 FOR 100), octet_length(d.value),
    a.state, a.taken_by, a.taken_at, a.reason, a.command_id::text, a.retried_partition, a.retried_offset,
    coalesce(j.outcome, CASE WHEN w.pruned_before > a.retried_offset THEN 'pruned' END), j.reason,
    count(*) OVER ()
FROM dead_letter d
LEFT JOIN dead_letter_action a ON a.partition = d.partition AND a."offset" = d."offset" AND a.state <> 'void'
LEFT JOIN watermark w ON w.partition = a.retried_partition
LEFT JOIN journal j ON j.partition = a.retried_partition AND j."offset" = a.retried_offset
WHERE (%(all)s OR a.state IS NULL OR a.state = 'begun')
    AND (%(partition)s::integer IS NULL OR d.partition = %(partition)s)
    AND (%(offset)s::bigint IS NULL OR d."offset" = %(offset)s)
    AND (%(reason)s::text IS NULL OR d.reason = %(reason)s)
    AND (%(since)s::timestamptz IS NULL OR d.recorded_at >= %(since)s)
ORDER BY d.recorded_at, d.partition, d."offset"
LIMIT %(limit)s
