SELECT extract(EPOCH FROM clock_timestamp())::float8
