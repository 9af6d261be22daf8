-- Rows that are as wide as real ones, by number, and in order: what is measured is the lock, not the load.
INSERT INTO journal (
    partition, "offset", command_id, subject_id, kind, verb, outcome, status_after, version_after, event, facts,
    recorded_at, hash
)
SELECT
    n %% 8, n / 8, lpad(to_hex(n), 32, '0')::uuid, lpad(to_hex(n), 32, '0')::uuid, 'allocation', 'reserve', 'applied',
    'reserved', 1,
    jsonb_build_object(
        'event', 'AllocationReserved', 'schemaVersion', 1, 'version', 1, 'commandId', lpad(to_hex(n), 32, '0'),
        'occurredAt', '2026-11-28T00:00:00Z', 'allocationId', lpad(to_hex(n), 32, '0'), 'partnersConnectionId', 'account'
    ),
    '{"connectionVersion": 0}', now(), decode(lpad(to_hex(n), 64, '0'), 'hex')
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n;

INSERT INTO allocation (
    allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id,
    partner_allocation_id, edition, decided_by, created_at, updated_at
)
SELECT
    lpad(to_hex(n), 32, '0')::uuid, 'allocation', 'cleared', 2, 'BTC', n + 1, lpad(to_hex(n), 32, '0')::uuid,
    lpad(to_hex(n %% 1000), 32, '0')::uuid, 'account', 'partner', '{}', lpad(to_hex(n), 32, '0')::uuid,
    now() + n * interval '1 ms', now() + n * interval '1 ms'
FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n;
