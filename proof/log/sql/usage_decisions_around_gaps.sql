-- The same for the sums of days.
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
gapped AS (
    SELECT scope, id, kind, currency, day FROM later
    GROUP BY scope, id, kind, currency, day, first_sequence
    HAVING count(*) <> max(sequence) - first_sequence
)
SELECT
    scope, id, kind, currency, day, partition, sequence, total_before, quantity, first_sequence, first_total
FROM later
JOIN gapped USING (scope, id, kind, currency, day)
ORDER BY scope, id, kind, currency COLLATE "C", day, sequence
