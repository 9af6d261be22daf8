INSERT INTO account (connection_id, currency, sequence, available)
SELECT connection_id, 'BTC', sequence, available
FROM unnest(%(connection_ids)s::uuid[], %(sequences)s::bigint[], %(availables)s::bigint[])
    AS row (connection_id, sequence, available)
ON CONFLICT (connection_id, currency) DO UPDATE SET sequence = excluded.sequence, available = excluded.available
