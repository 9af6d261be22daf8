-- One statement, one snapshot: all balances, and where the log stood.
SELECT
    (SELECT jsonb_object_agg(partition, next_offset) FROM watermark),
    (
        SELECT jsonb_agg(
            to_jsonb(page) || jsonb_build_object('available', page.available::text, 'held', page.held::text)
            ORDER BY connection_id, currency COLLATE "C"
        )
        FROM (SELECT * FROM account ORDER BY connection_id, currency COLLATE "C" LIMIT %(limit)s) AS page
    )
