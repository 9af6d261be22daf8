SELECT command_id::text, deadline, retried_partition, log_end
FROM dead_letter_action
WHERE partition = %(partition)s AND "offset" = %(offset)s AND state = 'begun'
