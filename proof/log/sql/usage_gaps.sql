-- The same for the sums of days: how the decision before found the sum and what it added, or else the one before all.
WITH decision AS (
    SELECT
        said ->> 'scope' AS scope, said ->> 'id' AS id, said ->> 'kind' AS kind, said ->> 'currency' AS currency,
        said ->> 'day' AS day, partition, (said ->> 'sequence')::bigint AS sequence, said ->> 'totalBefore' AS total_before,
        CASE WHEN event ? 'rejectionReason' THEN '0' ELSE event #>> '{amount,quantity}' END AS quantity
    FROM journal
    CROSS JOIN LATERAL jsonb_array_elements(facts -> 'usage') AS said
    WHERE facts ? 'usage'
),
later AS (
    SELECT d.*, coalesce(b.sequence, 0) AS first_sequence, coalesce(b.total, '0') AS first_total
    FROM decision d
    LEFT JOIN usage_before b USING (scope, id, kind, currency, day)
    WHERE d.sequence > coalesce(b.sequence, 0)
),
paired AS (
    SELECT
        scope, id, kind, currency, day, sequence, total_before,
        lag(sequence, 1, first_sequence) OVER of_sum AS last_sequence,
        lag(total_before, 1, first_total) OVER of_sum AS last_total,
        lag(quantity, 1, '0') OVER of_sum AS last_quantity
    FROM later
    WINDOW of_sum AS (PARTITION BY scope, id, kind, currency, day ORDER BY sequence)
),
gap AS (
    SELECT * FROM paired WHERE sequence > last_sequence + 1
),
latest AS (
    SELECT scope, id, kind, currency, day, partition, max(sequence) AS sequence
    FROM later
    GROUP BY scope, id, kind, currency, day, partition
),
ahead AS (
    SELECT scope, id, kind, currency, day, g.sequence, array_agg(l.partition) AS partitions
    FROM gap g
    JOIN latest l USING (scope, id, kind, currency, day)
    WHERE l.sequence >= g.sequence
    GROUP BY scope, id, kind, currency, day, g.sequence
)
SELECT
    scope, id, kind, currency, day, last_sequence, last_total, last_quantity, sequence, total_before, partitions
FROM gap
JOIN ahead USING (scope, id, kind, currency, day, sequence)
ORDER BY scope, id, kind, currency COLLATE "C", day, sequence
