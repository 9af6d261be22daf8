DELETE FROM dead_letter d
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s AND EXISTS (
    SELECT FROM dead_letter_action a
    WHERE a.partition = d.partition AND a."offset" = d."offset" AND a.state IN ('retried', 'discarded')
)
