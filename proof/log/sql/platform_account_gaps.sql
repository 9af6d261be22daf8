-- The same for the platform's accounts: what the decision before left, or else the account before all of them.
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
paired AS (
    SELECT
        id, sequence, connected_before,
        lag(sequence, 1, first_sequence) OVER of_account AS last_sequence,
        lag(connected_after, 1, first_connected) OVER of_account AS last_connected
    FROM later
    WINDOW of_account AS (PARTITION BY id ORDER BY sequence)
),
gap AS (
    SELECT * FROM paired WHERE sequence > last_sequence + 1
),
latest AS (
    SELECT id, partition, max(sequence) AS sequence FROM later GROUP BY id, partition
),
ahead AS (
    SELECT id, g.sequence, array_agg(l.partition) AS partitions
    FROM gap g
    JOIN latest l USING (id)
    WHERE l.sequence >= g.sequence
    GROUP BY id, g.sequence
)
SELECT id, last_sequence, last_connected, sequence, connected_before, partitions
FROM gap
JOIN ahead USING (id, sequence)
ORDER BY id COLLATE "C", sequence
