SELECT FROM dead_letter_action
WHERE partition = %(partition)s AND "offset" = %(offset)s AND state IN ('retried', 'discarded')
