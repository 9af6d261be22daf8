-- The next dead letters of each partition, in turns of the partitions until `budget` bytes are reached: what is behind is
-- not `within`, and comes without its bytes. Who is larger than `longest` comes with size and hash instead of bytes: only
-- a few large values are ever read at once.
WITH following AS (
    SELECT w.partition, w.next_offset, d."offset", d.turn, d.stored < %(stored)s::bigint AS is_measured
    FROM unnest(%(partitions)s::int[], %(afters)s::bigint[]) AS seen (partition, after)
    JOIN watermark w USING (partition)
    LEFT JOIN LATERAL (
        SELECT
            "offset",
            row_number() OVER (ORDER BY "offset") AS turn,
            -- Of the headers before, as they are stored: to measure them they are read.
            sum(headers) OVER (ORDER BY "offset") - headers AS stored
        FROM (
            SELECT "offset", pg_column_size(header_names) + pg_column_size(header_values) AS headers
            FROM dead_letter
            WHERE partition = seen.partition AND "offset" > seen.after
            ORDER BY "offset"
            LIMIT %(limit)s
        ) AS those
    ) d ON true
    WHERE w.next_offset > seen.after + 1
),
measured AS (
    SELECT
        f.partition, f.next_offset, f."offset", f.is_measured, d.bytes,
        sum(d.bytes) OVER (ORDER BY f.turn, f.partition) AS running
    FROM following f
    LEFT JOIN LATERAL (
        SELECT
            coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) + (
                -- A byte of a name may become four, `\xff`; a header's lengths and a record's own take a few more.
                SELECT 64 + coalesce(sum(4 * octet_length(name) + coalesce(octet_length(content), 0) + 16), 0)
                FROM unnest(header_names, header_values) AS header (name, content)
            ) AS bytes
        FROM dead_letter
        WHERE f.is_measured AND partition = f.partition AND "offset" = f."offset"
    ) d ON true
),
judged AS (
    SELECT
        partition, next_offset, "offset",
        is_measured AND running - bytes < %(budget)s::bigint AS within,
        is_measured AND running - bytes < %(budget)s::bigint AND bytes <= %(longest)s::bigint AS is_copied
    FROM measured
)
SELECT
    j.partition, j.next_offset, j.within, j."offset", d.reason, j.is_copied,
    CASE WHEN j.is_copied OR j.within AND octet_length(d.key) <= %(longest_key)s::int THEN d.key END,
    CASE WHEN j.is_copied THEN d.value END,
    CASE WHEN j.is_copied THEN d.header_names END,
    CASE WHEN j.is_copied THEN d.header_values END,
    octet_length(d.value),
    CASE WHEN j.within AND NOT j.is_copied THEN sha256(d.value) END
FROM judged j
LEFT JOIN dead_letter d USING (partition, "offset")
ORDER BY j.partition, j."offset"
