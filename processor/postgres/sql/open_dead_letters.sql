-- Few are ever handled, so this reads few rows more than it counts.
SELECT count(*)
FROM (
    SELECT FROM dead_letter d
    WHERE NOT EXISTS (
        SELECT FROM dead_letter_action a
        WHERE a.partition = d.partition AND a."offset" = d."offset" AND a.state IN ('retried', 'discarded')
    )
    LIMIT %(limit)s
) AS open
