-- Those that nobody has retried or discarded yet.
SELECT partition, "offset"
FROM dead_letter d
WHERE NOT EXISTS (
    SELECT FROM dead_letter_action a
    WHERE a.partition = d.partition AND a."offset" = d."offset" AND a.state IN ('retried', 'discarded')
)
ORDER BY partition, "offset"
