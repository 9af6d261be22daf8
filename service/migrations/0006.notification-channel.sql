-- The channel of the notifications that follow a commit has a name that nobody can guess and only our roles can read: any
-- role that may connect can otherwise listen to what they say of a command, and send others (record 0020).

CREATE TABLE notification_channel (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name text NOT NULL
);
INSERT INTO notification_channel (name) VALUES ('outcomes_' || replace(gen_random_uuid()::text, '-', ''));
COMMENT ON TABLE notification_channel IS 'A secret: roles that may read it can send outcomes that an ingress answers from';

CREATE OR REPLACE FUNCTION tell(channel text, payloads text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever listens and keeps a transaction open holds the queue; once it is full, this transaction would fail.
    IF pg_notification_queue_usage() > 0.5 THEN
        RAISE WARNING 'nobody is told of this commit: the queue of notifications is half full';
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_notify((SELECT name FROM notification_channel), payload) FROM unnest(payloads) AS payload;
EXCEPTION WHEN insufficient_privilege OR undefined_table THEN
    RAISE WARNING 'nobody is told of this commit: %', SQLERRM;
END
$$;
COMMENT ON FUNCTION tell IS
'After a commit, in a transaction of its own. A lost notification costs a poll, so this need not wait for the disk as what it
tells of did. The channel is the one of notification_channel, whatever the caller names';

CREATE FUNCTION listen_to_outcomes() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LISTEN %I', (SELECT name FROM notification_channel));
END
$$;
COMMENT ON FUNCTION listen_to_outcomes IS 'LISTEN, without the name of the channel in pg_stat_activity';
