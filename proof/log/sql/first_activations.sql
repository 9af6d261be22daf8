-- By connection, the decision on its platform account that activated it first.
SELECT event ->> 'connectionId', (facts #>> '{platformAccount,sequence}')::bigint
FROM journal
WHERE facts ? 'platformAccount' AND event ->> 'event' = 'ConnectionActivated' AND (event ->> 'version')::int = 1
