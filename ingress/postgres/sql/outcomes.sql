-- One statement, one snapshot: the watermark and the row at the position belong together.
SELECT
    asked.partition, asked."offset", coalesce(w.next_offset, 0), coalesce(w.pruned_before, 0),
    to_jsonb(j) - '{event,facts,traceparent,hash}'::text[] || jsonb_build_object(
        'content', coalesce(to_jsonb(a) || jsonb_build_object('quantity', a.quantity::text), to_jsonb(c))
    ),
    d.value
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
LEFT JOIN watermark w ON w.partition = asked.partition
LEFT JOIN journal j ON j.partition = asked.partition AND j."offset" = asked."offset"
LEFT JOIN allocation a
    ON a.allocation_id = j.subject_id AND j.kind IN ('allocation', 'deallocation') AND a.version > 0
LEFT JOIN connection c ON c.connection_id = j.subject_id AND j.kind = 'connection'
LEFT JOIN dead_letter d ON d.partition = j.partition AND d."offset" = j."offset"
