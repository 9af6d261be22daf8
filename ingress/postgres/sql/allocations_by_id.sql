SELECT
    allocation_id::text, kind, status, version, currency, quantity::text, client_id::text, connection_id::text,
    partners_connection_id, partner_allocation_id, partner_client_id, edition, rejection_reason,
    client_external_id, initiated_by, notes, evaluation_id, pending_approval_id, policy_result, decided_by::text,
    created_at, updated_at
FROM allocation
WHERE allocation_id = ANY(%(allocation_ids)s::uuid[]) AND version > 0
