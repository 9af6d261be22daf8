-- Gaps in the sequences of accounts, in order: how the decision before found the account and what it moved, or else the
-- account before all of them; how the next one found it; and the partitions of which later decisions are known.
WITH decision AS (
    SELECT
        j.partition, j."offset", said.connection_id, said.currency, said.sequence, said.available_before, said.held_before,
        coalesce(b.sequence, 0) AS first_sequence, coalesce(b.available, '0') AS first_available,
        coalesce(b.held, '0') AS first_held
    FROM journal j
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN facts ? 'account' THEN jsonb_build_array(facts -> 'account') ELSE facts -> 'accounts' END
    ) AS fact
    CROSS JOIN LATERAL (
        SELECT
            fact ->> 'connectionId' AS connection_id, fact ->> 'currency' AS currency,
            (fact ->> 'sequence')::bigint AS sequence, fact ->> 'availableBefore' AS available_before,
            fact ->> 'heldBefore' AS held_before
    ) AS said
    LEFT JOIN account_before b USING (connection_id, currency)
    WHERE (facts ? 'account' OR facts ? 'accounts') AND said.sequence > coalesce(b.sequence, 0)
),
paired AS (
    SELECT
        connection_id, currency, sequence, available_before, held_before,
        lag(partition) OVER of_account AS last_partition,
        lag("offset") OVER of_account AS last_offset,
        lag(sequence, 1, first_sequence) OVER of_account AS last_sequence,
        lag(available_before, 1, first_available) OVER of_account AS last_available,
        lag(held_before, 1, first_held) OVER of_account AS last_held
    FROM decision
    WINDOW of_account AS (PARTITION BY connection_id, currency ORDER BY sequence)
),
gap AS (
    SELECT * FROM paired WHERE sequence > last_sequence + 1
),
latest AS (
    SELECT connection_id, currency, partition, max(sequence) AS sequence
    FROM decision
    GROUP BY connection_id, currency, partition
),
ahead AS (
    SELECT connection_id, currency, g.sequence, array_agg(l.partition) AS partitions
    FROM gap g
    JOIN latest l USING (connection_id, currency)
    WHERE l.sequence >= g.sequence
    GROUP BY connection_id, currency, g.sequence
)
SELECT
    g.connection_id, g.currency, last_sequence, last_available, last_held, l.debit, l.credit, l.quantity::text,
    g.sequence, available_before, held_before, partitions
FROM gap g
JOIN ahead USING (connection_id, currency, sequence)
LEFT JOIN ledger l ON (l.partition, l."offset", l.currency) = (last_partition, last_offset, g.currency)
ORDER BY g.connection_id, g.currency, g.sequence
