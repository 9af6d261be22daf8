SELECT watermarks, allocations, accounts
FROM lock_and_load(
    %(partitions)s::int[], %(allocation_ids)s::uuid[], %(moved_ids)s::uuid[], %(connection_ids)s::uuid[], %(currencies)s::text[]
)
