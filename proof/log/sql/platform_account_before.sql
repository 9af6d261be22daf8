CREATE TEMPORARY TABLE platform_account_before (id text PRIMARY KEY, sequence bigint, connected_by text)
