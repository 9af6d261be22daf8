-- A lost notification costs a poll: it need not wait for the disk as what it tells of did.
SELECT set_config('synchronous_commit', 'off', true), pg_notify(%(channel)s, %(payload)s)
