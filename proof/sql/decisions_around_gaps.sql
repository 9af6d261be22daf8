-- All decisions on those accounts whose sequence has gaps, in order.
WITH decision AS (
    SELECT
        partition, "offset", facts #>> '{account,connectionId}' AS connection_id, facts #>> '{account,currency}' AS currency,
        (facts #>> '{account,sequence}')::bigint AS sequence,
        facts #>> '{account,availableBefore}' AS available_before, facts #>> '{account,heldBefore}' AS held_before
    FROM journal
    WHERE facts ? 'account'
),
gapped AS (
    SELECT connection_id, currency FROM decision GROUP BY connection_id, currency HAVING count(*) <> max(sequence)
)
SELECT d.connection_id, d.currency, d.partition, d.sequence, d.available_before, d.held_before, l.debit, l.credit, l.quantity::text
FROM decision d
JOIN gapped USING (connection_id, currency)
LEFT JOIN ledger l USING (partition, "offset")
ORDER BY d.connection_id, d.currency, d.sequence
