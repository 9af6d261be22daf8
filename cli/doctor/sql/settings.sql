SELECT name, reset_val FROM pg_settings WHERE name = ANY(%(names)s)
