-- The tables, and the one procedure that writes them. State lives here, and so does the log's position (decision 1).

CREATE TABLE log_identity (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    cluster_id text NOT NULL,
    commands_topic text NOT NULL,
    partitions integer NOT NULL CHECK (partitions > 0)
);
COMMENT ON TABLE log_identity IS 'Which log this database is the state of (decisions 7 and 8)';

CREATE TABLE watermark (
    partition integer PRIMARY KEY CHECK (partition >= 0),
    next_offset bigint NOT NULL CHECK (next_offset >= 0),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    pruned_before bigint NOT NULL DEFAULT 0 CHECK (pruned_before >= 0 AND pruned_before <= next_offset)
);
COMMENT ON COLUMN watermark.hash IS 'of the journal row before next_offset; zeros before the first';
COMMENT ON COLUMN watermark.pruned_before IS
'up to here journal, ledger and dead letters may be gone; the last row before it stays, and what is open';

CREATE TABLE journal (
    partition integer NOT NULL,
    "offset" bigint NOT NULL CHECK ("offset" >= 0),
    command_id uuid,
    subject_id uuid,
    kind text CHECK (kind IN ('allocation', 'deallocation', 'connection', 'adjustment')),
    verb text CHECK (verb IN ('reserve', 'clear', 'release', 'activate', 'deactivate', 'reactivate', 'adjust')),
    outcome text NOT NULL CHECK (outcome IN ('applied', 'repeated', 'refused', 'parked')),
    reason text,
    status_before text,
    version_before integer,
    status_after text,
    version_after integer,
    event jsonb,
    facts jsonb,
    recorded_at timestamptz NOT NULL,
    traceparent text,
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (partition, "offset"),
    CHECK (outcome <> 'applied' OR event IS NOT NULL),
    CHECK (event IS NULL OR outcome IN ('applied', 'refused')),
    CHECK ((outcome = 'parked') = (command_id IS NULL)),
    CHECK ((event IS NULL) = (facts IS NULL))
);
COMMENT ON TABLE journal IS 'One row per record of the commands topic: outcome, history, outbox (decision 3)';
COMMENT ON COLUMN journal.subject_id IS 'of the allocation, deallocation, connection or adjustment: the record''s key';
COMMENT ON COLUMN journal.event IS 'of what was applied, and of what was refused for what others are (record 0022)';
CREATE INDEX journal_by_subject ON journal (subject_id, "offset");

CREATE TABLE dead_letter (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL CHECK (reason IN ('not_a_command', 'key_is_not_its_id', 'wrong_partition', 'undecodable')),
    key bytea,
    value bytea,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (partition, "offset"),
    FOREIGN KEY (partition, "offset") REFERENCES journal
);

CREATE TABLE dead_letter_action (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    attempt integer NOT NULL CHECK (attempt > 0),
    state text NOT NULL CHECK (state IN (
        'begun',     -- nothing → begun: about to be published; it is in the log, or not
        'retried',   -- begun → retried: it is in the log, at retried_partition and retried_offset
        'void',      -- begun or retried → void: it changed nothing and never will, because its deadline has passed
        'discarded'  -- nothing → discarded
    )),
    taken_by text NOT NULL CHECK (taken_by <> ''),
    taken_at timestamptz NOT NULL DEFAULT now(),
    reason text CHECK (reason <> ''),
    command_id uuid UNIQUE,
    subject_id uuid,
    deadline timestamptz,
    retried_partition integer,
    log_end bigint,
    retried_offset bigint,
    PRIMARY KEY (partition, "offset", attempt),
    CHECK (num_nulls(command_id, subject_id, deadline, retried_partition, log_end) IN (0, 5)),
    CHECK ((state = 'discarded') = (command_id IS NULL)),
    CHECK (state <> 'discarded' OR reason IS NOT NULL),
    CHECK (state <> 'retried' OR retried_offset IS NOT NULL)
);
COMMENT ON TABLE dead_letter_action IS
'Retries and discards of dead letters: who, when, why, and where the record is now. Not derived from the log, and so
without a foreign key to what is';
COMMENT ON COLUMN dead_letter_action.log_end IS 'of retried_partition, when the retry was begun: it can not stand before';
CREATE UNIQUE INDEX dead_letter_action_once ON dead_letter_action (partition, "offset") WHERE state <> 'void';
COMMENT ON INDEX dead_letter_action_once IS 'No dead letter is handled twice';

CREATE TABLE allocation (
    allocation_id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('allocation', 'deallocation')),
    status text NOT NULL CHECK (status IN (
        'reserved',   -- nothing → reserved; released → reserved when re-issued
        'rejected',   -- nothing → rejected; released → rejected when re-issued
        'cleared',    -- reserved → cleared
        'released',   -- reserved → released
        'tombstone'   -- nothing → tombstone: released before it was reserved
    )),
    version integer NOT NULL CHECK (version >= 0),
    currency text,
    quantity numeric(78, 0) CHECK (quantity > 0),
    client_id uuid,
    connection_id uuid,
    partners_connection_id text,
    partner_allocation_id text,
    edition jsonb,
    partner_client_id text,
    client_external_id text,
    initiated_by text,
    notes text,
    evaluation_id text,
    pending_approval_id text,
    rejection_reason text,
    policy_result text CHECK (policy_result IN ('approved', 'rejected')),
    decided_by uuid,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    reissued_at timestamptz,
    release_cause text CHECK (release_cause IN ('expiry')),
    CHECK ((status = 'tombstone') = (version = 0)),
    CHECK ((status = 'tombstone') = (quantity IS NULL)),
    CHECK ((status = 'rejected') = (rejection_reason IS NOT NULL)),
    CHECK (status = 'released' OR release_cause IS NULL)
);
COMMENT ON TABLE allocation IS 'Allocations, deallocations and tombstones: one id, one row (contract, section 3)';
CREATE INDEX allocation_by_update ON allocation (updated_at, created_at, allocation_id) WHERE version > 0;
CREATE INDEX allocation_by_account ON allocation (connection_id, currency) WHERE version > 0;
CREATE INDEX allocation_reserved ON allocation (updated_at, allocation_id) WHERE status = 'reserved';
COMMENT ON INDEX allocation_reserved IS 'The oldest reservations: what BitGo may have forgotten';
CREATE INDEX allocation_open ON allocation (connection_id, currency) INCLUDE (kind, quantity)
WHERE status = 'reserved';
COMMENT ON INDEX allocation_open IS 'What is held, and what allocations would bring when they are cleared';

CREATE TABLE account (
    connection_id uuid NOT NULL,
    currency text NOT NULL,
    sequence bigint NOT NULL DEFAULT 0 CHECK (sequence >= 0),
    available numeric(120, 0) NOT NULL DEFAULT 0 CHECK (available >= 0),
    held numeric(120, 0) NOT NULL DEFAULT 0 CHECK (held >= 0),
    PRIMARY KEY (connection_id, currency)
);
COMMENT ON COLUMN account.sequence IS 'decisions that read or moved this account (decision 5)';

CREATE TABLE ledger (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    connection_id uuid NOT NULL,
    currency text NOT NULL,
    sequence bigint NOT NULL,
    debit text NOT NULL CHECK (debit IN ('custody', 'available', 'held', 'trading')),
    credit text NOT NULL CHECK (credit IN ('custody', 'available', 'held', 'trading')),
    quantity numeric(78, 0) NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (partition, "offset", currency),
    FOREIGN KEY (partition, "offset") REFERENCES journal,
    FOREIGN KEY (connection_id, currency) REFERENCES account,
    CHECK (debit <> credit)
);
COMMENT ON TABLE ledger IS 'Double entry: each row takes from one book and gives to another, named by its transition';
CREATE INDEX ledger_by_account ON ledger (connection_id, currency, sequence);
COMMENT ON COLUMN ledger.sequence IS 'of the account, after the decision that moved it';

CREATE TABLE adjustment (
    adjustment_id uuid PRIMARY KEY,
    connection_id uuid NOT NULL,
    reason text NOT NULL,
    entries jsonb NOT NULL CHECK (jsonb_array_length(entries) > 0),
    created_at timestamptz NOT NULL
);
COMMENT ON TABLE adjustment IS 'Adjustments that were booked: each once (contract, section 9)';

CREATE TABLE platform_account (
    partners_connection_id text PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence > 0),
    connected_by uuid
);
COMMENT ON TABLE platform_account IS 'The platform''s accounts that were connected: to one connection at a time';
COMMENT ON COLUMN platform_account.sequence IS 'decisions that read or moved it (decision 5)';

CREATE TABLE connection (
    connection_id uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN (
        'active',   -- nothing → active, by BitGo; inactive → active, by the platform
        'inactive'  -- active → inactive, by the platform
    )),
    version integer NOT NULL CHECK (version > 0),
    client_id uuid NOT NULL,
    client_wallet_id text,
    partner_id text,
    partners_client_id text NOT NULL,
    partners_connection_id text NOT NULL,
    token_hash text NOT NULL UNIQUE CHECK (length(token_hash) = 64),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE connection IS 'Clients at BitGo, connected to accounts of the platform (contract, section 6)';
CREATE INDEX connection_by_account ON connection (partners_connection_id);
CREATE UNIQUE INDEX connection_one_active ON connection (partners_connection_id) WHERE status = 'active';
COMMENT ON INDEX connection_one_active IS 'One connection per platform account';

CREATE TABLE daily_usage (
    scope text NOT NULL CHECK (scope IN ('client', 'connection')),
    id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('allocation', 'deallocation')),
    currency text NOT NULL,
    day date NOT NULL,
    sequence bigint NOT NULL CHECK (sequence > 0),
    total numeric(120, 0) NOT NULL CHECK (total >= 0),
    PRIMARY KEY (scope, id, kind, currency, day)
);
COMMENT ON TABLE daily_usage IS 'What was reserved on a day (UTC), where a daily limit is configured';
COMMENT ON COLUMN daily_usage.sequence IS 'decisions that read or moved it (decision 5)';

CREATE TABLE connection_token (
    token_hash text PRIMARY KEY CHECK (length(token_hash) = 64),
    partners_connection_id text NOT NULL CHECK (partners_connection_id <> ''),
    partners_client_id text NOT NULL CHECK (partners_client_id <> ''),
    issued_by text NOT NULL,
    issued_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
);
COMMENT ON TABLE connection_token IS
'One-time tokens that the platform gave its users: not derived from the log. Whether one is spent, `connection` says';

CREATE TABLE token_claim (
    jti_hash bytea PRIMARY KEY CHECK (octet_length(jti_hash) = 32),
    token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX token_claim_by_expiry ON token_claim (expires_at);
COMMENT ON TABLE token_claim IS 'Tokens that were used; pruned after they expire (decision 11)';

CREATE TABLE notification_channel (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    name text NOT NULL
);
INSERT INTO notification_channel (name) VALUES ('outcomes_' || replace(gen_random_uuid()::text, '-', ''));
COMMENT ON TABLE notification_channel IS
'A secret: any role may listen to a channel and send on it, if it knows its name (record 0015)';

CREATE FUNCTION listen_to_outcomes() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('LISTEN %I', (SELECT name FROM notification_channel));
END
$$;
COMMENT ON FUNCTION listen_to_outcomes IS 'LISTEN, without the name of the channel in pg_stat_activity';

CREATE FUNCTION require_rows(matched bigint, expected integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF matched <> expected THEN
        RAISE EXCEPTION '% of % rows are as the decisions found them', matched, expected USING ERRCODE = 'AL001';
    END IF;
END
$$;
COMMENT ON FUNCTION require_rows IS 'The guard of every write (decision 2): a miss raises, and nothing is written';

CREATE FUNCTION save_platform(changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    guards record;
BEGIN
    WITH inserted_adjustments AS (
        INSERT INTO adjustment SELECT * FROM jsonb_populate_recordset(NULL::adjustment, changes -> 'new_adjustments')
    ),
    inserted_connections AS (
        INSERT INTO connection SELECT * FROM jsonb_populate_recordset(NULL::connection, changes -> 'new_connections')
    ),
    updated_connections AS (
        UPDATE connection c
        SET status = row.status, version = row.version, updated_at = row.updated_at
        FROM jsonb_to_recordset(changes -> 'changed_connections') AS row (
            connection_id uuid, version_before integer, status text, version integer, updated_at timestamptz
        )
        WHERE c.connection_id = row.connection_id AND c.version = row.version_before
        RETURNING 1
    ),
    inserted_platform_accounts AS (
        INSERT INTO platform_account
        SELECT * FROM jsonb_populate_recordset(NULL::platform_account, changes -> 'new_platform_accounts')
        ORDER BY partners_connection_id COLLATE "C"
    ),
    updated_platform_accounts AS (
        UPDATE platform_account p
        SET sequence = row.sequence, connected_by = row.connected_by
        FROM (
            SELECT *
            FROM jsonb_to_recordset(changes -> 'changed_platform_accounts') AS changed (
                partners_connection_id text, sequence_before bigint, sequence bigint, connected_by uuid
            )
            ORDER BY partners_connection_id COLLATE "C"
        ) AS row
        WHERE p.partners_connection_id = row.partners_connection_id AND p.sequence = row.sequence_before
        RETURNING 1
    )
    SELECT
        require_rows(
            (SELECT count(*) FROM updated_connections), jsonb_array_length(changes -> 'changed_connections')
        ),
        require_rows(
            (SELECT count(*) FROM updated_platform_accounts), jsonb_array_length(changes -> 'changed_platform_accounts')
        ),
        require_rows(
            (
                SELECT count(*)
                FROM jsonb_to_recordset(changes -> 'read_connections') AS read (connection_id uuid, version integer)
                LEFT JOIN connection c USING (connection_id)
                WHERE coalesce(c.version, 0) = read.version
            ),
            jsonb_array_length(changes -> 'read_connections')
        ),
        require_rows(
            (
                SELECT count(*) FROM adjustment
                WHERE adjustment_id = ANY (SELECT jsonb_array_elements_text(changes -> 'absent_adjustments')::uuid)
            ),
            0
        )
    INTO guards;
END
$$;
COMMENT ON FUNCTION save_platform IS
'What a batch changes of connections, platform accounts and adjustments, and which of them it found; most batches none';

CREATE FUNCTION save_usages(changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    guards record;
BEGIN
    WITH inserted_usages AS (
        INSERT INTO daily_usage
        SELECT * FROM jsonb_populate_recordset(NULL::daily_usage, changes -> 'new_usages')
        ORDER BY scope, id, kind, currency COLLATE "C", day
    ),
    updated_usages AS (
        UPDATE daily_usage u
        SET sequence = row.sequence, total = row.total
        FROM (
            SELECT *
            FROM jsonb_to_recordset(changes -> 'changed_usages') AS changed (
                scope text, id uuid, kind text, currency text, day date, sequence_before bigint, sequence bigint,
                total numeric
            )
            ORDER BY scope, id, kind, currency COLLATE "C", day
        ) AS row
        WHERE
            (u.scope, u.id, u.kind, u.currency, u.day) = (row.scope, row.id, row.kind, row.currency, row.day)
            AND u.sequence = row.sequence_before
        RETURNING 1
    )
    SELECT require_rows((SELECT count(*) FROM updated_usages), jsonb_array_length(changes -> 'changed_usages'))
    INTO guards;
END
$$;
COMMENT ON FUNCTION save_usages IS 'What a batch counts of days; without daily limits nothing';

CREATE FUNCTION save_batch(changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    guards record;
BEGIN
    WITH inserted_allocations AS (
        INSERT INTO allocation
        SELECT * FROM jsonb_populate_recordset(NULL::allocation, changes -> 'new_allocations')
    ),
    updated_allocations AS (
        UPDATE allocation a
        SET
            status = row.status,
            version = row.version,
            updated_at = row.updated_at,
            rejection_reason = row.rejection_reason,
            policy_result = row.policy_result,
            decided_by = row.decided_by,
            reissued_at = row.reissued_at,
            release_cause = row.release_cause
        FROM jsonb_to_recordset(changes -> 'changed_allocations') AS row (
            allocation_id uuid, version_before integer, status text, version integer, updated_at timestamptz,
            rejection_reason text, policy_result text, decided_by uuid, reissued_at timestamptz,
            release_cause text
        )
        WHERE a.allocation_id = row.allocation_id AND a.version = row.version_before
        RETURNING 1
    ),
    inserted_accounts AS (
        INSERT INTO account
        SELECT * FROM jsonb_populate_recordset(NULL::account, changes -> 'new_accounts')
        ORDER BY connection_id, currency COLLATE "C"
    ),
    updated_accounts AS (
        UPDATE account a
        SET sequence = row.sequence, available = row.available, held = row.held
        FROM (
            SELECT *
            FROM jsonb_to_recordset(changes -> 'changed_accounts') AS changed (
                connection_id uuid, currency text, sequence_before bigint, sequence bigint, available numeric,
                held numeric
            )
            ORDER BY connection_id, currency COLLATE "C"
        ) AS row
        WHERE a.connection_id = row.connection_id AND a.currency = row.currency AND a.sequence = row.sequence_before
        RETURNING 1
    ),
    inserted_journal AS (
        INSERT INTO journal SELECT * FROM jsonb_populate_recordset(NULL::journal, changes -> 'journal')
    ),
    inserted_ledger AS (
        INSERT INTO ledger SELECT * FROM jsonb_populate_recordset(NULL::ledger, changes -> 'ledger')
    ),
    inserted_dead_letters AS (
        INSERT INTO dead_letter SELECT * FROM jsonb_populate_recordset(NULL::dead_letter, changes -> 'dead_letters')
    ),
    updated_watermarks AS (
        UPDATE watermark w
        SET next_offset = row.next_offset, hash = row.hash
        FROM jsonb_to_recordset(changes -> 'watermarks') AS row (
            partition integer, offset_before bigint, hash_before bytea, next_offset bigint, hash bytea
        )
        WHERE w.partition = row.partition AND w.next_offset = row.offset_before AND w.hash = row.hash_before
        RETURNING 1
    )
    -- The watermarks first: a worker that has lost the partition waits for nothing else.
    SELECT
        require_rows((SELECT count(*) FROM updated_watermarks), jsonb_array_length(changes -> 'watermarks')),
        require_rows((SELECT count(*) FROM updated_accounts), jsonb_array_length(changes -> 'changed_accounts')),
        require_rows((SELECT count(*) FROM updated_allocations), jsonb_array_length(changes -> 'changed_allocations')),
        require_rows(
            (
                SELECT count(*) FROM allocation
                WHERE allocation_id = ANY (SELECT jsonb_array_elements_text(changes -> 'absent_ids')::uuid)
            ),
            0
        )
    INTO guards;
    IF changes ? 'platform' THEN
        PERFORM save_platform(changes -> 'platform');
    END IF;
    IF changes ? 'usages' THEN
        PERFORM save_usages(changes -> 'usages');
    END IF;
END
$$;
COMMENT ON FUNCTION save_batch IS
'Everything that a batch changes. Raises AL001, or a unique violation, when a row is not as the decisions found it';

CREATE PROCEDURE commit_batch(changes jsonb, payloads text[]) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM save_batch(changes);
    COMMIT;
    -- A lost notification costs a poll: it neither waits for the disk, nor is it tried while the queue is nearly full, nor
    -- is its failure the batch's.
    BEGIN
        PERFORM set_config('synchronous_commit', 'off', true);
        IF pg_notification_queue_usage() < 0.9 THEN
            PERFORM pg_notify((SELECT name FROM notification_channel), payload) FROM unnest(payloads) AS payload;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'no notification: %', SQLERRM;
    END;
END
$$;
COMMENT ON PROCEDURE commit_batch IS
'Save, commit, and only then notify, in a transaction of its own (inside the first, NOTIFY would serialize all commits of the
database). To be called outside of a transaction. An error may come after the commit: whoever gets one loads again';
