-- Accounts that are not the sum of their ledger rows, or below zero.
WITH sums AS (
    SELECT
        connection_id, currency,
        sum(quantity * ((credit = 'available')::int - (debit = 'available')::int)) AS available,
        sum(quantity * ((credit = 'held')::int - (debit = 'held')::int)) AS held
    FROM ledger
    GROUP BY connection_id, currency
)
SELECT
    connection_id::text, currency, coalesce(a.available, 0)::text, coalesce(a.held, 0)::text,
    coalesce(s.available, 0)::text, coalesce(s.held, 0)::text
FROM account a
FULL JOIN sums s USING (connection_id, currency)
WHERE coalesce(a.available, 0) <> coalesce(s.available, 0) OR coalesce(a.held, 0) <> coalesce(s.held, 0)
    OR a.available < 0 OR a.held < 0
