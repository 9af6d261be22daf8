CREATE UNIQUE INDEX IF NOT EXISTS connection_one_active ON connection (partners_connection_id) WHERE status = 'active';
COMMENT ON INDEX connection_one_active IS 'One connection per platform account'
