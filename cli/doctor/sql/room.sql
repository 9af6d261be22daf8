SELECT
    current_setting('max_connections')::int
    - current_setting('superuser_reserved_connections')::int
    - current_setting('reserved_connections')::int,
    (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user),
    (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
    (
        SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND NOT starts_with(application_name, 'allocations')
    )
