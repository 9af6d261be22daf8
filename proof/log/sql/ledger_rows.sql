SELECT "offset", connection_id::text, currency, debit, credit, quantity::text
FROM ledger
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
ORDER BY "offset"
