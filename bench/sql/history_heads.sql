SELECT DISTINCT ON (partition) partition, "offset" + 1, hash
FROM journal
WHERE partition >= %(first)s
ORDER BY partition, "offset" DESC
