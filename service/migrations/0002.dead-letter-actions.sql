-- What operators did with dead letters. Not derived from the log, and so without a foreign key to what is.

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
    allocation_id uuid,
    deadline timestamptz,
    retried_partition integer,
    log_end bigint,
    retried_offset bigint,
    PRIMARY KEY (partition, "offset", attempt),
    CHECK (num_nulls(command_id, allocation_id, deadline, retried_partition, log_end) IN (0, 5)),
    CHECK ((state = 'discarded') = (command_id IS NULL)),
    CHECK (state <> 'discarded' OR reason IS NOT NULL),
    CHECK (state <> 'retried' OR retried_offset IS NOT NULL)
);
COMMENT ON TABLE dead_letter_action IS 'Retries and discards of dead letters: who, when, why, and where the record is now';
COMMENT ON COLUMN dead_letter_action.log_end IS 'of retried_partition, when the retry was begun: it can not stand before';
CREATE UNIQUE INDEX dead_letter_action_once ON dead_letter_action (partition, "offset") WHERE state <> 'void';
COMMENT ON INDEX dead_letter_action_once IS 'No dead letter is handled twice';
