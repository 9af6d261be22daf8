SELECT settlements.*
FROM settlements
WHERE (:settlement_ids IS NULL OR settlement_id IN (SELECT value FROM json_each(:settlement_ids)))
  AND (:external_ids IS NULL OR external_id IN (SELECT value FROM json_each(:external_ids)))
  AND (:partner_ids IS NULL OR :partner_id IN (SELECT value FROM json_each(:partner_ids)))
  AND (:party_connection_ids IS NULL OR EXISTS (
      SELECT * FROM settlement_transfers AS transfer
      WHERE transfer.settlement_id = settlements.settlement_id
        AND connection_id IN (SELECT value FROM json_each(:party_connection_ids))))
  AND (:counterparty_connection_ids IS NULL OR EXISTS (
      SELECT * FROM settlement_transfers AS transfer
      WHERE transfer.settlement_id = settlements.settlement_id
        AND counterparty_id IN (SELECT value FROM json_each(:counterparty_connection_ids))))
  AND (NOT :only_show_disputed OR EXISTS (
      SELECT * FROM disputes WHERE disputes.settlement_id = settlements.settlement_id AND retracted_at IS NULL))
  AND (:created_on_or_after IS NULL OR created_at >= :created_on_or_after)
  AND (:created_before IS NULL OR created_at < :created_before)
  AND (:updated_on_or_after IS NULL OR updated_at >= :updated_on_or_after)
  AND (:updated_before IS NULL OR updated_at < :updated_before)
ORDER BY created_at, settlement_id
LIMIT :limit OFFSET :offset
