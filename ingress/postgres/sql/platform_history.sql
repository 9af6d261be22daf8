-- One statement, one snapshot. All commands on an id have its key, and so its partition.
SELECT
    (SELECT pruned_before FROM watermark WHERE partition = %(partition)s),
    (
        SELECT to_jsonb(a) || jsonb_build_object('quantity', a.quantity::text)
        FROM allocation a
        WHERE allocation_id = %(id)s::uuid AND 'allocation' = ANY(%(kinds)s::text[])
    ),
    (
        SELECT to_jsonb(c) - 'token_hash'
        FROM connection c
        WHERE connection_id = %(id)s::uuid AND 'connection' = ANY(%(kinds)s::text[])
    ),
    (
        SELECT to_jsonb(a)
        FROM adjustment a
        WHERE adjustment_id = %(id)s::uuid AND 'adjustment' = ANY(%(kinds)s::text[])
    ),
    (
        SELECT jsonb_agg(to_jsonb(page) ORDER BY page."offset")
        FROM (
            SELECT
                "offset", recorded_at, command_id, kind, verb, outcome, reason, status_before, version_before,
                status_after, version_after, event - 'tokenHash' AS event, facts, traceparent
            FROM journal
            WHERE subject_id = %(id)s::uuid AND kind = ANY(%(kinds)s::text[])
                AND "offset" > %(after)s::bigint
            ORDER BY "offset"
            LIMIT %(limit)s
        ) AS page
    )
