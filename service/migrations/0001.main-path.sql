-- The tables of the main path. State lives here, and so does the log's position (decision 1).

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
    hash bytea NOT NULL CHECK (octet_length(hash) = 32)
);
COMMENT ON COLUMN watermark.hash IS 'of the journal row before next_offset; zeros before the first';

CREATE TABLE journal (
    partition integer NOT NULL,
    "offset" bigint NOT NULL CHECK ("offset" >= 0),
    command_id uuid,
    allocation_id uuid,
    kind text CHECK (kind IN ('allocation', 'deallocation')),
    verb text CHECK (verb IN ('reserve', 'clear', 'release')),
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
    CHECK ((outcome = 'applied') = (event IS NOT NULL)),
    CHECK ((outcome = 'parked') = (command_id IS NULL)),
    CHECK ((event IS NULL) = (facts IS NULL))
);
COMMENT ON TABLE journal IS 'One row per record of the commands topic: outcome, history, outbox (decision 3)';

CREATE TABLE dead_letter (
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL CHECK (reason IN ('not_a_command', 'key_is_not_its_id', 'wrong_partition')),
    key bytea,
    value bytea,
    header_names bytea[] NOT NULL,
    header_values bytea[] NOT NULL,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (partition, "offset"),
    FOREIGN KEY (partition, "offset") REFERENCES journal
);

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
    CHECK ((status = 'tombstone') = (version = 0)),
    CHECK ((status = 'tombstone') = (quantity IS NULL)),
    CHECK ((status = 'rejected') = (rejection_reason IS NOT NULL))
);
COMMENT ON TABLE allocation IS 'Allocations, deallocations and tombstones: one id, one row (contract, section 3)';
CREATE INDEX allocation_by_update ON allocation (updated_at, created_at, allocation_id) WHERE version > 0;
CREATE INDEX allocation_by_account ON allocation (connection_id, currency) WHERE version > 0;

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
    debit text NOT NULL CHECK (debit IN ('custody', 'available', 'held')),
    credit text NOT NULL CHECK (credit IN ('custody', 'available', 'held')),
    quantity numeric(78, 0) NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (partition, "offset"),
    FOREIGN KEY (partition, "offset") REFERENCES journal,
    FOREIGN KEY (connection_id, currency) REFERENCES account,
    CHECK (debit <> credit)
);
COMMENT ON TABLE ledger IS 'Double entry: each row takes from one book and gives to another, named by its transition';

CREATE TABLE token_claim (
    jti_hash bytea PRIMARY KEY CHECK (octet_length(jti_hash) = 32),
    expires_at timestamptz NOT NULL
);
CREATE INDEX token_claim_by_expiry ON token_claim (expires_at);
COMMENT ON TABLE token_claim IS 'Tokens that were used; pruned after they expire (decision 11)';

CREATE FUNCTION require_rows(matched bigint, expected integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF matched <> expected THEN
        RAISE EXCEPTION '% of % rows were as loaded', matched, expected USING ERRCODE = 'AL001';
    END IF;
END
$$;
COMMENT ON FUNCTION require_rows IS 'The guard of every write (decision 2): a miss raises, and nothing is written';

CREATE FUNCTION lock_and_load(
    wanted_partitions integer[], wanted_ids uuid[], moved_ids uuid[], named_connections uuid[], named_currencies text[],
    OUT watermarks json, OUT allocations json, OUT accounts json
) LANGUAGE plpgsql AS $$
BEGIN
    watermarks := (
        SELECT json_agg(json_build_array(partition, next_offset, encode(hash, 'hex')))
        FROM (
            SELECT partition, next_offset, hash FROM watermark WHERE partition = ANY (wanted_partitions)
            ORDER BY partition FOR UPDATE
        ) AS locked
    );
    allocations := (
        SELECT json_agg(json_build_array(
            allocation_id, kind, status, version, currency, quantity::text, client_id, connection_id,
            partners_connection_id, partner_allocation_id, edition, created_at, updated_at, rejection_reason,
            policy_result, decided_by, reissued_at,
            partner_client_id, client_external_id, initiated_by, notes, evaluation_id, pending_approval_id
        ))
        FROM allocation
        WHERE allocation_id = ANY (wanted_ids)
    );
    IF cardinality(moved_ids) + cardinality(named_connections) = 0 THEN
        RETURN;
    END IF;
    accounts := (
        SELECT json_agg(json_build_array(connection_id, currency, sequence, available::text, held::text))
        FROM (
            SELECT a.connection_id, a.currency, a.sequence, a.available, a.held
            FROM account a
            JOIN (
                SELECT connection_id, currency FROM allocation WHERE allocation_id = ANY (moved_ids)
                UNION
                SELECT * FROM unnest(named_connections, named_currencies)
            ) AS wanted (connection_id, currency) USING (connection_id, currency)
            ORDER BY a.connection_id, a.currency
            FOR UPDATE OF a
        ) AS locked
    );
END
$$;
COMMENT ON FUNCTION lock_and_load IS
'What a batch needs (decisions 2 and 6): the watermarks are locked first; then the allocations are read; then those accounts
that exist are locked. A volatile function takes a new snapshot for each statement, so that
each sees what was committed while the one before it waited. Locks are taken in sorted order: nobody waits in a circle.';
