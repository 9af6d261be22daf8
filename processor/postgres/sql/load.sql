-- One statement, so one snapshot: what it returns was true at one instant, and nothing is locked (decision 2).
WITH platform AS (
    SELECT unnest(%(platform_accounts)s::text[]) AS partners_connection_id
    UNION
    SELECT partners_connection_id FROM connection WHERE connection_id = ANY(%(changed_ids)s::uuid[])
),
connected AS (
    SELECT * FROM connection WHERE connection_id = ANY(%(known_ids)s::uuid[])
    UNION
    SELECT connection.* FROM connection JOIN platform USING (partners_connection_id)
    UNION
    SELECT * FROM connection WHERE token_hash = ANY(%(token_hashes)s::text[])
)
SELECT
    (
        SELECT json_agg(json_build_array(partition, next_offset, encode(hash, 'hex')))
        FROM watermark
        WHERE partition = ANY(%(partitions)s::int[])
    ) AS watermarks,
    (
        SELECT json_agg(to_jsonb(a) || jsonb_build_object('quantity', a.quantity::text))
        FROM allocation a
        WHERE a.allocation_id = ANY(%(allocation_ids)s::uuid[])
    ) AS allocations,
    (
        SELECT json_agg(json_build_array(a.connection_id, a.currency, a.sequence, a.available::text, a.held::text))
        FROM account a
        JOIN (
            SELECT connection_id, currency FROM allocation WHERE allocation_id = ANY(%(moved_ids)s::uuid[])
            UNION
            SELECT * FROM unnest(%(connection_ids)s::uuid[], %(currencies)s::text[])
            UNION
            SELECT connection_id, currency
            FROM account
            JOIN (
                SELECT unnest(%(changed_ids)s::uuid[]) AS connection_id
                UNION
                SELECT connection_id FROM connection JOIN platform USING (partners_connection_id)
            ) AS holder USING (connection_id)
        ) AS wanted (connection_id, currency) USING (connection_id, currency)
    ) AS accounts,
    (
        SELECT json_agg(to_jsonb(a)) FROM adjustment a WHERE a.adjustment_id = ANY(%(adjustment_ids)s::uuid[])
    ) AS adjustments,
    (SELECT json_agg(to_jsonb(c)) FROM connected c) AS connections,
    (
        SELECT json_agg(to_jsonb(p)) FROM platform_account p JOIN platform USING (partners_connection_id)
    ) AS platform_accounts,
    (
        SELECT json_agg(json_build_array(u.scope, u.id, u.kind, u.currency, u.day, u.sequence, u.total::text))
        FROM daily_usage u
        JOIN unnest(
            %(usage_scopes)s::text[], %(usage_ids)s::uuid[], %(usage_kinds)s::text[], %(usage_currencies)s::text[],
            %(usage_days)s::date[]
        ) AS wanted (scope, id, kind, currency, day) USING (scope, id, kind, currency, day)
    ) AS usages
