-- The accounts that are named, and those of the allocations; in one order for everybody, so that nobody waits in a circle.
SELECT a.connection_id::text, a.currency, a.sequence, a.available::text, a.held::text
FROM account a
JOIN (
    SELECT connection_id, currency FROM allocation WHERE allocation_id = ANY(%(allocation_ids)s::uuid[])
    UNION
    SELECT * FROM unnest(%(connection_ids)s::uuid[], %(currencies)s::text[])
) AS wanted (connection_id, currency) USING (connection_id, currency)
ORDER BY a.connection_id, a.currency
FOR UPDATE OF a
