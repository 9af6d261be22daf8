SELECT a.connection_id::text, a.currency, a.sequence, a.available::text, a.held::text
FROM account a
JOIN unnest(%(connection_ids)s::uuid[], %(currencies)s::text[]) AS wanted (connection_id, currency) USING (connection_id, currency)
ORDER BY a.connection_id, a.currency
FOR UPDATE OF a
