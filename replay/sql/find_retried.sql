SELECT "offset", outcome, reason
FROM journal
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(end)s AND command_id = %(command_id)s
ORDER BY "offset"
LIMIT 1
