SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event = 'SyncRep' AND clock_timestamp() - query_start > interval '1 second'
