SELECT pg_backend_pid(), current_setting('allocations.limits', true)
