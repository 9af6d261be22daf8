-- Accounts, and the sums of their ledger rows from an offset of each partition on.
WITH sums AS (
    SELECT
        connection_id, currency,
        sum(quantity * ((credit = 'available')::int - (debit = 'available')::int)) AS available,
        sum(quantity * ((credit = 'held')::int - (debit = 'held')::int)) AS held
    FROM ledger
    LEFT JOIN unnest(%(partitions)s::int[], %(firsts)s::bigint[]) AS start (partition, first) USING (partition)
    WHERE "offset" >= coalesce(first, 0)
    GROUP BY connection_id, currency
)
SELECT
    connection_id::text, currency, coalesce(a.available, 0)::text, coalesce(a.held, 0)::text,
    coalesce(s.available, 0)::text, coalesce(s.held, 0)::text
FROM account a
FULL JOIN sums s USING (connection_id, currency)
ORDER BY connection_id, currency COLLATE "C"
