SELECT "offset", connection_id::text, currency, sequence, debit, credit, quantity::text
FROM ledger
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
ORDER BY "offset", currency COLLATE "C"
