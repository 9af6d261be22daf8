SELECT "offset", reason, key, value, header_names, header_values, recorded_at
FROM dead_letter
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
ORDER BY "offset"
