SELECT partition, "offset", reason, facts, status_after = 'reserved' AS is_reserved
FROM journal
JOIN unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset") USING (partition, "offset")
WHERE outcome = 'applied' AND verb = 'reserve'
