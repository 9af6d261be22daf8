INSERT INTO dead_letter_action (partition, "offset", attempt, state, taken_by, reason)
VALUES (
    %(partition)s, %(offset)s,
    (
        SELECT coalesce(max(attempt), 0) + 1 FROM dead_letter_action
        WHERE partition = %(partition)s AND "offset" = %(offset)s
    ),
    'discarded', %(by)s, %(reason)s
)
