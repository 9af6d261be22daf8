SELECT pg_advisory_lock_shared(hashtext('allocations tables'))
