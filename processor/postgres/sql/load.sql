-- One statement, so one snapshot: what it returns was true at one instant, and nothing is locked (decision 2).
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
        ) AS wanted (connection_id, currency) USING (connection_id, currency)
    ) AS accounts
