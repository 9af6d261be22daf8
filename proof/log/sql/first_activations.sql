-- By connection of some of the platform's accounts, the decision on the account that activated it first.
SELECT event ->> 'connectionId', (facts #>> '{platformAccount,sequence}')::bigint
FROM journal
WHERE facts ? 'platformAccount' AND event ->> 'event' = 'ConnectionActivated' AND (event ->> 'version')::int = 1
    AND facts #>> '{platformAccount,partnersConnectionId}' = ANY (%(accounts)s)
