-- While a rebuild puts partitions back one after the other, an account may seem to have two connections.
DROP INDEX IF EXISTS connection_one_active
