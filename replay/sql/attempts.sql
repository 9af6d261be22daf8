SELECT coalesce(max(attempt), 0) FROM dead_letter_action WHERE partition = %(partition)s AND "offset" = %(offset)s
