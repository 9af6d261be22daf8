-- The same for the platform's accounts.
WITH decision AS (
    SELECT
        facts #>> '{platformAccount,partnersConnectionId}' AS id, partition,
        (facts #>> '{platformAccount,sequence}')::bigint AS sequence,
        facts #>> '{platformAccount,connectedBefore}' AS connected_before,
        CASE event ->> 'event'
            WHEN 'ConnectionActivated' THEN event ->> 'connectionId'
            WHEN 'ConnectionRefused' THEN facts #>> '{platformAccount,connectedBefore}'
        END AS connected_after
    FROM journal
    WHERE facts ? 'platformAccount'
),
later AS (
    SELECT d.*, coalesce(b.sequence, 0) AS first_sequence, b.connected_by AS first_connected
    FROM decision d
    LEFT JOIN platform_account_before b USING (id)
    WHERE d.sequence > coalesce(b.sequence, 0)
),
gapped AS (
    SELECT id FROM later GROUP BY id, first_sequence HAVING count(*) <> max(sequence) - first_sequence
)
SELECT id, partition, sequence, connected_before, connected_after, first_sequence, first_connected
FROM later
JOIN gapped USING (id)
ORDER BY id COLLATE "C", sequence
