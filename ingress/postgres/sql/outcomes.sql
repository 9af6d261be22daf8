-- One statement, one snapshot: the watermark and the row at the position belong together.
SELECT
    asked.partition, asked."offset", coalesce(w.next_offset, 0), coalesce(w.pruned_before, 0),
    to_jsonb(j) - '{event,facts,traceparent,hash}'::text[] || jsonb_build_object(
        'content', to_jsonb(a) || jsonb_build_object('quantity', a.quantity::text)
    ),
    d.value
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
LEFT JOIN watermark w ON w.partition = asked.partition
LEFT JOIN journal j ON j.partition = asked.partition AND j."offset" = asked."offset"
LEFT JOIN allocation a ON a.allocation_id = j.allocation_id AND a.version > 0
LEFT JOIN dead_letter d ON d.partition = j.partition AND d."offset" = j."offset"
