SELECT allocations.*
FROM allocations JOIN connections USING (connection_id)
WHERE (:allocation_ids IS NULL OR allocation_id IN (SELECT value FROM json_each(:allocation_ids)))
  AND (:types IS NULL OR kind IN (SELECT value FROM json_each(:types)))
  AND (:statuses IS NULL OR allocations.status IN (SELECT value FROM json_each(:statuses)))
  AND (:currencies IS NULL OR currency IN (SELECT value FROM json_each(:currencies)))
  AND (:connection_ids IS NULL OR connection_id IN (SELECT value FROM json_each(:connection_ids)))
  AND (:client_ids IS NULL OR client_id IN (SELECT value FROM json_each(:client_ids)))
  AND (:partner_ids IS NULL OR :partner_id IN (SELECT value FROM json_each(:partner_ids)))
-- order
LIMIT :limit OFFSET :offset
