-- Settlements, their transfers and disputes, in the ledger's file. Times are milliseconds since 1970, UTC.

CREATE TABLE IF NOT EXISTS settlements (
    settlement_id text PRIMARY KEY,
    external_id text NOT NULL UNIQUE,
    version integer NOT NULL CHECK (version IN (1, 2)), -- of the endpoint; 2 is with disputes
    body blob NOT NULL,                                 -- as it was sent, byte for byte
    notes text,
    initiated_by text NOT NULL,
    status text NOT NULL CHECK (status IN (
        'pending',   -- new; or failed and sent again
        'failed',    -- was pending; not final
        'completed', -- was pending or failed: the balances moved
        'rejected'   -- was pending or failed
    )),
    reason text CHECK ((reason IS NOT NULL) = (status IN ('failed', 'rejected'))),
    cutoff_at integer,
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    finalized_at integer CHECK ((finalized_at IS NOT NULL) = (status IN ('completed', 'rejected')))
) STRICT;
CREATE INDEX IF NOT EXISTS settlements_by_creation ON settlements (created_at, settlement_id);

CREATE TABLE IF NOT EXISTS dispute_closures (
    closure_id text PRIMARY KEY,
    notes text NOT NULL,
    created_at integer NOT NULL
) STRICT;

-- A connection says that its part of a pending settlement is wrong. At most one that is not retracted for each.
CREATE TABLE IF NOT EXISTS disputes (
    dispute_id text PRIMARY KEY,
    settlement_id text NOT NULL REFERENCES settlements,
    connection_id text NOT NULL REFERENCES connections,
    user_id text NOT NULL,
    reason text,
    expected_transfers text NOT NULL, -- JSON: base units by currency
    retracted_at integer,
    retracted_reason text,
    closure_id text REFERENCES dispute_closures,
    settled_in text REFERENCES settlements,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS disputes_once ON disputes (settlement_id, connection_id) WHERE retracted_at IS NULL;

CREATE TABLE IF NOT EXISTS settlement_transfers (
    transfer_id text PRIMARY KEY,
    settlement_id text REFERENCES settlements,
    closure_id text REFERENCES dispute_closures,
    connection_id text NOT NULL REFERENCES connections, -- gains what is positive
    counterparty_id text REFERENCES connections,        -- loses it; without one, the partner's own account
    currency text NOT NULL,
    quantity text NOT NULL CHECK (quantity GLOB '[1-9]*' OR quantity GLOB '-[1-9]*'), -- signed base units
    status text NOT NULL CHECK (status IN (
        'pending_settlement_assignment', -- of a closed dispute, for the next settlement
        'pending', 'disputed', 'failed', 'rejected', 'completed'
    )),
    created_at integer NOT NULL,
    updated_at integer NOT NULL,
    CHECK ((settlement_id IS NULL) = (status = 'pending_settlement_assignment'))
) STRICT;
CREATE INDEX IF NOT EXISTS transfers_by_settlement ON settlement_transfers (settlement_id);
CREATE INDEX IF NOT EXISTS transfers_by_closure ON settlement_transfers (closure_id) WHERE closure_id IS NOT NULL;
