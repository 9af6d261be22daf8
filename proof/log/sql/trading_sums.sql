-- Accounts where what the ledger took from trading differs from what the adjustments say, from an offset of each
-- partition on.
WITH start AS (
    SELECT * FROM unnest(%(partitions)s::int[], %(firsts)s::bigint[]) AS start (partition, first)
),
moved AS (
    SELECT connection_id, currency, sum(quantity * CASE WHEN debit = 'trading' THEN 1 ELSE -1 END) AS quantity
    FROM ledger
    LEFT JOIN start USING (partition)
    WHERE 'trading' IN (debit, credit) AND "offset" >= coalesce(first, 0)
    GROUP BY connection_id, currency
),
asked AS (
    SELECT a.connection_id, entry ->> 'currency' AS currency, sum((entry ->> 'quantity')::numeric) AS quantity
    FROM adjustment a
    JOIN journal j ON j.subject_id = a.adjustment_id AND j.kind = 'adjustment' AND j.outcome = 'applied'
    LEFT JOIN start USING (partition)
    CROSS JOIN LATERAL jsonb_array_elements(a.entries) AS entry
    WHERE "offset" >= coalesce(first, 0)
    GROUP BY a.connection_id, entry ->> 'currency'
)
SELECT connection_id::text, currency, coalesce(moved.quantity, 0)::text, coalesce(asked.quantity, 0)::text
FROM moved
FULL JOIN asked USING (connection_id, currency)
WHERE coalesce(moved.quantity, 0) <> coalesce(asked.quantity, 0)
ORDER BY connection_id, currency COLLATE "C"
