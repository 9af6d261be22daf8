-- A connection's network account has the connection's id; trading accounts have the client's and the partner's.
SELECT *
FROM (
    SELECT transfers.*,
        coalesce(giver.client_id, :partner_id) AS source_trading_account_id,
        counterparty_id AS source_network_account_id,
        taker.client_id AS destination_trading_account_id,
        transfers.connection_id AS destination_network_account_id
    FROM settlement_transfers AS transfers
    JOIN connections AS taker ON taker.connection_id = transfers.connection_id
    LEFT JOIN connections AS giver ON giver.connection_id = counterparty_id
    WHERE settlement_id = :settlement_id OR closure_id = :closure_id
)
WHERE (:currencies IS NULL OR currency IN (SELECT value FROM json_each(:currencies)))
  AND (:source_network_account_ids IS NULL
      OR source_network_account_id IN (SELECT value FROM json_each(:source_network_account_ids)))
  AND (:source_trading_account_ids IS NULL
      OR source_trading_account_id IN (SELECT value FROM json_each(:source_trading_account_ids)))
  AND (:destination_network_account_ids IS NULL
      OR destination_network_account_id IN (SELECT value FROM json_each(:destination_network_account_ids)))
  AND (:destination_trading_account_ids IS NULL
      OR destination_trading_account_id IN (SELECT value FROM json_each(:destination_trading_account_ids)))
ORDER BY created_at, transfer_id
LIMIT :limit OFFSET :offset
