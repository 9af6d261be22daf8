SELECT
    allocation_id::text, kind, status, version, currency, quantity::text, client_id::text, connection_id::text,
    partners_connection_id, partner_allocation_id, edition, created_at, updated_at, rejection_reason, policy_result,
    decided_by::text, reissued_at, release_cause, partner_client_id, client_external_id, initiated_by, notes,
    evaluation_id, pending_approval_id
FROM allocation
ORDER BY allocation_id
