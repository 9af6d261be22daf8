-- One statement, one snapshot: how far the partition is and what stands at the position belong together.
SELECT
    asked.partition, asked."offset", coalesce(w.next_offset, 0), coalesce(w.pruned_before, 0),
    j.command_id::text, j.allocation_id::text, j.kind, j.verb, j.outcome, j.reason,
    j.status_after, j.version_after, d.value,
    a.currency, a.quantity::text, a.client_id::text, a.connection_id::text, a.partners_connection_id,
    a.partner_allocation_id, a.partner_client_id, a.edition
FROM unnest(%(partitions)s::int[], %(offsets)s::bigint[]) AS asked (partition, "offset")
LEFT JOIN watermark w ON w.partition = asked.partition
LEFT JOIN journal j ON j.partition = asked.partition AND j."offset" = asked."offset"
LEFT JOIN allocation a ON a.allocation_id = j.allocation_id AND a.version > 0
LEFT JOIN dead_letter d ON d.partition = j.partition AND d."offset" = j."offset"
