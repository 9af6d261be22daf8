-- All decisions on those accounts whose sequence has gaps, in order; with the account as it was before all of them.
WITH decision AS (
    SELECT
        j.partition, j."offset", said.connection_id, said.currency, said.sequence, said.available_before, said.held_before,
        coalesce(b.sequence, 0) AS first_sequence, coalesce(b.available, '0') AS first_available,
        coalesce(b.held, '0') AS first_held
    FROM journal j
    CROSS JOIN LATERAL jsonb_array_elements(
        CASE WHEN facts ? 'account' THEN jsonb_build_array(facts -> 'account') ELSE facts -> 'accounts' END
    ) AS fact
    CROSS JOIN LATERAL (
        SELECT
            fact ->> 'connectionId' AS connection_id, fact ->> 'currency' AS currency,
            (fact ->> 'sequence')::bigint AS sequence, fact ->> 'availableBefore' AS available_before,
            fact ->> 'heldBefore' AS held_before
    ) AS said
    LEFT JOIN account_before b USING (connection_id, currency)
    WHERE (facts ? 'account' OR facts ? 'accounts') AND said.sequence > coalesce(b.sequence, 0)
),
gapped AS (
    SELECT connection_id, currency FROM decision
    GROUP BY connection_id, currency, first_sequence
    HAVING count(*) <> max(sequence) - first_sequence
)
SELECT
    d.connection_id, d.currency, d.partition, d.sequence, d.available_before, d.held_before, l.debit, l.credit,
    l.quantity::text, d.first_sequence, d.first_available, d.first_held
FROM decision d
JOIN gapped USING (connection_id, currency)
LEFT JOIN ledger l USING (partition, "offset", currency)
ORDER BY d.connection_id, d.currency, d.sequence
