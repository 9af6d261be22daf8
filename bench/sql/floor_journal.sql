INSERT INTO journal (partition, "offset", allocation_id, verb, outcome, version, recorded_at)
SELECT partition, "offset", allocation_id, verb, outcome, version, now()
FROM jsonb_to_recordset(%(rows)s::jsonb) AS row (
    partition integer, "offset" bigint, allocation_id uuid, verb text, outcome text, version integer
)
