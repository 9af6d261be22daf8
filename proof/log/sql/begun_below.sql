-- A dead letter whose retry was begun: whether it is in the log is looked up in the journal from log_end on.
SELECT a.partition, a."offset"
FROM dead_letter_action a
JOIN unnest(%(partitions)s::int[], %(next_offsets)s::bigint[]) AS mark (partition, next_offset)
    ON mark.partition = a.retried_partition
WHERE a.state = 'begun' AND a.log_end < mark.next_offset
LIMIT 1
