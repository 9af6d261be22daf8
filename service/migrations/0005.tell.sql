-- Both ways of writing a batch tell of it alike: the call that commits by itself, and the transaction that was opened to load.

CREATE FUNCTION tell(channel text, payloads text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_notify(channel, payload) FROM unnest(payloads) AS payload;
END
$$;
COMMENT ON FUNCTION tell IS
'After a commit, in a transaction of its own. A lost notification costs a poll, so this need not wait for the disk as what it
tells of did';

CREATE OR REPLACE PROCEDURE commit_batch(changes jsonb, channel text, payloads text[]) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM save_batch(changes);
    COMMIT;
    PERFORM tell(channel, payloads);
END
$$;
COMMENT ON PROCEDURE commit_batch IS 'Save, commit, and only then tell. To be called outside of a transaction';
