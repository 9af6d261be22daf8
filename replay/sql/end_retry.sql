UPDATE dead_letter_action
SET state = %(state)s, retried_offset = coalesce(%(retried_offset)s, retried_offset)
WHERE command_id = %(command_id)s AND state = 'begun'
