SELECT "offset" FROM journal
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
ORDER BY "offset"
LIMIT 1
