SELECT
    "offset", recorded_at, outcome, command_id::text, subject_id::text, kind, verb, reason, status_before,
    version_before, status_after, version_after, event, facts, traceparent, hash
FROM journal
WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
ORDER BY "offset"
