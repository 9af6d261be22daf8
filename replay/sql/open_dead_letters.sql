SELECT d.partition, d."offset", d.recorded_at, d.value
FROM dead_letter d
LEFT JOIN dead_letter_action a ON a.partition = d.partition AND a."offset" = d."offset" AND a.state <> 'void'
WHERE (a.state IS NULL OR a.state = 'begun')
    AND (d.recorded_at, d.partition, d."offset") > (%(recorded_at)s, %(partition)s, %(offset)s)
    AND octet_length(d.value) <= %(longest)s
ORDER BY d.recorded_at, d.partition, d."offset"
LIMIT %(limit)s
