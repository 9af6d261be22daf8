-- Rows that no partition's log has a place for.
WITH log AS (
    SELECT * FROM unnest(%(partitions)s::int[], %(firsts)s::bigint[], %(beyonds)s::bigint[]) AS log (partition, first, beyond)
),
rows AS (
    SELECT 'journal' AS name, partition, "offset" FROM journal
    UNION ALL
    SELECT 'ledger', partition, "offset" FROM ledger
    UNION ALL
    SELECT 'dead_letter', partition, "offset" FROM dead_letter
)
SELECT name, partition, "offset"
FROM rows
WHERE NOT EXISTS (
    SELECT FROM log WHERE log.partition = rows.partition AND rows."offset" >= first AND rows."offset" < beyond
)
