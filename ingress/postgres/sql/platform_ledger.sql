-- The balances before a movement are facts of its journal row, which is pruned with its ledger row and not before.
SELECT
    page.sequence, j.recorded_at, page.debit, page.credit, page.quantity::text,
    fact ->> 'availableBefore', fact ->> 'heldBefore',
    j.kind, j.subject_id::text, j.verb, CASE WHEN j.kind = 'adjustment' THEN j.event ->> 'reason' END,
    j.command_id::text, j.partition, j."offset"
FROM (
    SELECT *
    FROM ledger
    WHERE connection_id = %(connection_id)s::uuid AND currency = %(currency)s
        AND sequence > %(after)s::bigint AND sequence <= %(through)s::bigint
    ORDER BY sequence
    LIMIT %(limit)s OFFSET %(skip)s
) AS page
JOIN journal j USING (partition, "offset")
CROSS JOIN jsonb_array_elements(coalesce(j.facts -> 'accounts', jsonb_build_array(j.facts -> 'account'))) AS fact
WHERE (fact ->> 'connectionId')::uuid = page.connection_id AND fact ->> 'currency' = page.currency
ORDER BY page.sequence
