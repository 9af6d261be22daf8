-- BitGo's own ledger. Amounts are base units as decimal digits in text: SQLite's integers end at 2^63. Times are
-- milliseconds since 1970, UTC.

CREATE TABLE IF NOT EXISTS clients (
    client_id text PRIMARY KEY,
    created_at integer NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS connections (
    connection_id text PRIMARY KEY,
    client_id text NOT NULL REFERENCES clients,
    partner_id text NOT NULL,
    partners_connection_id text NOT NULL,
    partners_client_id text NOT NULL,
    client_wallet_id text,
    status text NOT NULL CHECK (status IN ('pending', 'active', 'refused', 'closed')),
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS allocations (
    allocation_id text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('allocation', 'deallocation')),
    connection_id text NOT NULL REFERENCES connections,
    currency text NOT NULL,
    quantity text NOT NULL CHECK (quantity GLOB '[1-9]*' AND quantity NOT GLOB '*[^0-9]*'),
    status text NOT NULL CHECK (status IN (
        'pending',  -- asked of the partner, no outcome known; again after a re-issue
        'reserved', -- the partner reserved it, or holds it
        'rejected', -- the partner would not
        'cleared',  -- BitGo moved it for good, whether or not the partner has heard of it
        'released'  -- BitGo gave it up, whether or not the partner has heard of it
    )),
    reason text,
    partner_allocation_id text, -- the partner's own id, as sent or as answered; a deallocation's too
    client_external_id text,
    initiated_by text,
    notes text,
    deferred integer NOT NULL DEFAULT 0 CHECK (deferred IN (0, 1)), -- the partner reports the outcome by itself
    version integer NOT NULL,
    created_at integer NOT NULL,
    updated_at integer NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS allocations_by_update ON allocations (updated_at, created_at, allocation_id);
CREATE INDEX IF NOT EXISTS allocations_by_connection ON allocations (connection_id);

-- Every change of a balance, with what caused it: a status of an allocation, or a settlement.
CREATE TABLE IF NOT EXISTS movements (
    movement_id integer PRIMARY KEY,
    connection_id text NOT NULL REFERENCES connections,
    currency text NOT NULL,
    available text NOT NULL, -- signed
    held text NOT NULL,      -- signed
    cause text NOT NULL CHECK (cause IN ('allocation', 'deallocation', 'settlement')),
    cause_id text NOT NULL,
    version integer NOT NULL, -- of the allocation; 0 for a settlement
    created_at integer NOT NULL,
    UNIQUE (cause, cause_id, version, connection_id, currency)
) STRICT;

CREATE TABLE IF NOT EXISTS balances (
    connection_id text NOT NULL REFERENCES connections,
    currency text NOT NULL,
    available text NOT NULL,
    held text NOT NULL,
    PRIMARY KEY (connection_id, currency)
) STRICT;

-- What a client ordered, and what is being asked of the partner for it. After a restart it goes on at `step`.
CREATE TABLE IF NOT EXISTS orders (
    allocation_id text PRIMARY KEY REFERENCES allocations,
    run text NOT NULL,   -- the scenario and its seed, or 'order' for a single one
    number integer NOT NULL,
    plan text NOT NULL,  -- JSON: the order itself
    step text NOT NULL CHECK (step IN ('reserve', 'clear', 'release', 'done')),
    round integer NOT NULL DEFAULT 0, -- up by one with each re-issue
    tries integer NOT NULL DEFAULT 0,
    last_try_at integer,
    last_answer text,
    known_to_partner integer CHECK (known_to_partner IN (0, 1)), -- at the end; absent while it cannot be known
    UNIQUE (run, number)
) STRICT;
CREATE INDEX IF NOT EXISTS orders_in_flight ON orders (step) WHERE step <> 'done';

-- What the partner answered against the contract.
CREATE TABLE IF NOT EXISTS differences (
    difference_id integer PRIMARY KEY,
    allocation_id text,
    what text NOT NULL,
    created_at integer NOT NULL
) STRICT;
