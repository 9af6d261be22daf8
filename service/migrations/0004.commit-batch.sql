-- A batch that needs nothing loaded is one statement: written, committed, told (record 0016).

CREATE FUNCTION save_batch(changes jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    guards record;
BEGIN
    WITH inserted_allocations AS (
        INSERT INTO allocation (
            allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id,
            partner_allocation_id, edition, created_at, updated_at, rejection_reason, policy_result, decided_by,
            reissued_at, partner_client_id, client_external_id, initiated_by, notes, evaluation_id, pending_approval_id
        )
        SELECT
            allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id,
            partner_allocation_id, edition, created_at, updated_at, rejection_reason, policy_result, decided_by,
            reissued_at, partner_client_id, client_external_id, initiated_by, notes, evaluation_id, pending_approval_id
        FROM jsonb_to_recordset(changes -> 'new_allocations') AS row (
            allocation_id uuid, kind text, status text, version integer, currency text, quantity numeric, client_id uuid,
            connection_id uuid, partners_connection_id text, partner_allocation_id text, edition jsonb,
            created_at timestamptz, updated_at timestamptz, rejection_reason text, policy_result text, decided_by uuid,
            reissued_at timestamptz, partner_client_id text, client_external_id text, initiated_by text, notes text,
            evaluation_id text, pending_approval_id text
        )
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
            reissued_at = row.reissued_at
        FROM jsonb_to_recordset(changes -> 'changed_allocations') AS row (
            allocation_id uuid, version_before integer, status text, version integer, updated_at timestamptz,
            rejection_reason text, policy_result text, decided_by uuid, reissued_at timestamptz
        )
        WHERE a.allocation_id = row.allocation_id AND a.version = row.version_before
        RETURNING 1
    ),
    inserted_accounts AS (
        INSERT INTO account (connection_id, currency, sequence, available, held)
        SELECT connection_id, currency, sequence, available, held
        FROM jsonb_to_recordset(changes -> 'new_accounts') AS row (
            connection_id uuid, currency text, sequence bigint, available numeric, held numeric
        )
        ORDER BY connection_id, currency
    ),
    updated_accounts AS (
        UPDATE account a
        SET sequence = row.sequence, available = row.available, held = row.held
        FROM jsonb_to_recordset(changes -> 'changed_accounts') AS row (
            connection_id uuid, currency text, sequence_before bigint, sequence bigint, available numeric, held numeric
        )
        WHERE a.connection_id = row.connection_id AND a.currency = row.currency AND a.sequence = row.sequence_before
        RETURNING 1
    ),
    inserted_journal AS (
        INSERT INTO journal (
            partition, "offset", command_id, allocation_id, kind, verb, outcome, reason, status_before, version_before,
            status_after, version_after, event, facts, recorded_at, traceparent, hash
        )
        SELECT
            partition, "offset", command_id, allocation_id, kind, verb, outcome, reason, status_before, version_before,
            status_after, version_after, event, facts, recorded_at, traceparent, decode(hash, 'hex')
        FROM jsonb_to_recordset(changes -> 'journal') AS row (
            partition integer, "offset" bigint, command_id uuid, allocation_id uuid, kind text, verb text, outcome text,
            reason text, status_before text, version_before integer, status_after text, version_after integer,
            event jsonb, facts jsonb, recorded_at timestamptz, traceparent text, hash text
        )
    ),
    inserted_ledger AS (
        INSERT INTO ledger (partition, "offset", connection_id, currency, debit, credit, quantity)
        SELECT partition, "offset", connection_id, currency, debit, credit, quantity
        FROM jsonb_to_recordset(changes -> 'ledger') AS row (
            partition integer, "offset" bigint, connection_id uuid, currency text, debit text, credit text, quantity numeric
        )
    ),
    updated_watermarks AS (
        UPDATE watermark w
        SET next_offset = row.next_offset, hash = decode(row.hash, 'hex')
        FROM jsonb_to_recordset(changes -> 'watermarks') AS row (
            partition integer, offset_before bigint, next_offset bigint, hash text
        )
        WHERE w.partition = row.partition AND w.next_offset = row.offset_before
        RETURNING 1
    )
    -- The watermarks first: who has lost the partition waits for nothing else.
    SELECT
        require_rows((SELECT count(*) FROM updated_watermarks), jsonb_array_length(changes -> 'watermarks')),
        require_rows((SELECT count(*) FROM updated_accounts), jsonb_array_length(changes -> 'changed_accounts')),
        require_rows((SELECT count(*) FROM updated_allocations), jsonb_array_length(changes -> 'changed_allocations'))
    INTO guards;
END
$$;
COMMENT ON FUNCTION save_batch IS 'Everything that a batch changes; raises when a row is not as it was loaded or remembered';

CREATE PROCEDURE commit_batch(changes jsonb, channel text, payloads text[]) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM save_batch(changes);
    COMMIT;
    -- A lost notification costs a poll: it need not wait for the disk as what it tells of did.
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM pg_notify(channel, payload) FROM unnest(payloads) AS payload;
END
$$;
COMMENT ON PROCEDURE commit_batch IS
'Save and commit, and only then notify, in a transaction of its own. To be called outside of a transaction';
