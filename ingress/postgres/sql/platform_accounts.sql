-- One statement, one snapshot: balances, the holds that they consist of, and where the log stood.
SELECT
    (SELECT jsonb_object_agg(partition, next_offset) FROM watermark),
    (
        EXISTS (SELECT FROM connection WHERE connection_id = %(connection_id)s::uuid)
        OR EXISTS (SELECT FROM account WHERE connection_id = %(connection_id)s::uuid)
    ),
    (
        SELECT jsonb_agg(
            jsonb_build_object(
                'connection_id', page.connection_id, 'currency', page.currency, 'sequence', page.sequence,
                'available', page.available::text, 'held', page.held::text, 'open_holds', holds.found
            )
            ORDER BY page.currency COLLATE "C"
        )
        FROM (
            SELECT *
            FROM account
            WHERE connection_id = %(connection_id)s::uuid
                AND (%(after)s::text IS NULL OR currency COLLATE "C" > %(after)s::text)
            ORDER BY currency COLLATE "C"
            LIMIT %(limit)s
        ) AS page
        LEFT JOIN LATERAL (
            SELECT jsonb_build_object(
                'count', count(*),
                'quantity', coalesce(sum(quantity), 0)::text,
                'oldest', coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'deallocation_id', allocation_id, 'quantity', quantity::text, 'reserved_at', updated_at
                        )
                        ORDER BY place
                    ) FILTER (WHERE place <= %(holds_max)s),
                    '[]'
                )
            ) AS found
            FROM (
                SELECT allocation_id, quantity, updated_at, row_number() OVER (ORDER BY updated_at, allocation_id) AS place
                FROM allocation
                WHERE connection_id = page.connection_id AND currency = page.currency
                    AND kind = 'deallocation' AND status = 'reserved'
            ) AS hold
        ) AS holds ON %(open_holds)s::boolean
    )
