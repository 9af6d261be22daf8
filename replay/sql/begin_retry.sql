INSERT INTO dead_letter_action (
    partition, "offset", attempt, state, taken_by, reason, command_id, subject_id, deadline, retried_partition, log_end
)
VALUES (
    %(partition)s, %(offset)s, %(attempt)s, 'begun', %(by)s, %(reason)s, %(command_id)s, %(subject_id)s, %(deadline)s,
    %(retried_partition)s, %(log_end)s
)
