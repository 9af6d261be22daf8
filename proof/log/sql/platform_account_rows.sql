SELECT partners_connection_id, sequence, connected_by::text
FROM platform_account
ORDER BY partners_connection_id COLLATE "C"
