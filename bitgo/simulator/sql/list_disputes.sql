SELECT disputes.*
FROM disputes
JOIN connections USING (connection_id)
JOIN settlements AS disputed ON disputed.settlement_id = disputes.settlement_id
LEFT JOIN settlements AS settling ON settling.settlement_id = settled_in
WHERE (:settlement_ids IS NULL OR disputes.settlement_id IN (SELECT value FROM json_each(:settlement_ids)))
  AND (:settled_in_settlement_ids IS NULL OR settled_in IN (SELECT value FROM json_each(:settled_in_settlement_ids)))
  AND (:settlement_external_ids IS NULL
      OR disputed.external_id IN (SELECT value FROM json_each(:settlement_external_ids)))
  AND (:settled_in_settlement_external_ids IS NULL
      OR settling.external_id IN (SELECT value FROM json_each(:settled_in_settlement_external_ids)))
  AND (:connection_ids IS NULL OR connection_id IN (SELECT value FROM json_each(:connection_ids)))
  AND (:client_ids IS NULL OR client_id IN (SELECT value FROM json_each(:client_ids)))
  AND (:partner_ids IS NULL OR :partner_id IN (SELECT value FROM json_each(:partner_ids)))
  AND (:dispute_ids IS NULL OR dispute_id IN (SELECT value FROM json_each(:dispute_ids)))
  AND (:dispute_closure_ids IS NULL OR closure_id IN (SELECT value FROM json_each(:dispute_closure_ids)))
  AND (:closed IS NULL OR (closure_id IS NOT NULL) = :closed)
  AND (:show_retracted OR retracted_at IS NULL)
ORDER BY disputes.created_at, dispute_id
LIMIT :limit OFFSET :offset
