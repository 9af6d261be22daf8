DELETE FROM journal j
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s AND NOT EXISTS (
    SELECT FROM dead_letter d WHERE d.partition = j.partition AND d."offset" = j."offset"
)
