-- Rights for a processor and an ingress that own nothing: `allocations migrate --grant-processor ROLE --grant-ingress ROLE`.
-- The roles' names are an operator's, so a migration can not grant by itself. A later migration that adds a table
-- replaces these functions.

CREATE FUNCTION grant_to_processor(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
    EXECUTE format(
        'GRANT SELECT ON log_identity, watermark, journal, dead_letter, dead_letter_action, allocation, account, ledger, '
        'adjustment, platform_account, connection, daily_usage, notification_channel, _yoyo_migration TO %I',
        role
    );
    EXECUTE format(
        'GRANT INSERT ON log_identity, watermark, journal, dead_letter, allocation, account, ledger, adjustment, '
        'platform_account, connection, daily_usage TO %I',
        role
    );
    EXECUTE format('GRANT UPDATE (next_offset, hash) ON watermark TO %I', role);
    EXECUTE format(
        'GRANT UPDATE (status, version, updated_at, rejection_reason, policy_result, decided_by, reissued_at, '
        'release_cause) ON allocation TO %I',
        role
    );
    EXECUTE format('GRANT UPDATE (sequence, available, held) ON account TO %I', role);
    EXECUTE format('GRANT UPDATE (status, version, updated_at) ON connection TO %I', role);
    EXECUTE format('GRANT UPDATE (sequence, connected_by) ON platform_account TO %I', role);
    EXECUTE format('GRANT UPDATE (sequence, total) ON daily_usage TO %I', role);
    -- Of operators: what they retry or discard.
    EXECUTE format('GRANT INSERT, UPDATE (state, retried_offset) ON dead_letter_action TO %I', role);
END
$$;
COMMENT ON FUNCTION grant_to_processor IS
'What a processor, verify and the operators'' commands need, and no more: it deletes nothing, and changes no journal row';

CREATE FUNCTION grant_to_ingress(role name) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA public TO %I', role);
    EXECUTE format(
        'GRANT SELECT ON log_identity, watermark, journal, dead_letter, allocation, account, ledger, adjustment, '
        'platform_account, connection, notification_channel, _yoyo_migration TO %I',
        role
    );
    EXECUTE format('GRANT SELECT, INSERT, DELETE ON token_claim TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, DELETE, UPDATE (revoked_at) ON connection_token TO %I', role);
END
$$;
COMMENT ON FUNCTION grant_to_ingress IS 'What an ingress needs, and no more: of what follows from the log it writes nothing';

REVOKE EXECUTE ON FUNCTION grant_to_processor, grant_to_ingress FROM PUBLIC;
