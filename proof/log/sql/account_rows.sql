SELECT connection_id::text, currency, sequence, available::text, held::text
FROM account
ORDER BY connection_id, currency COLLATE "C"
