SELECT scope, id::text, kind, currency, day::text, sequence, total::text
FROM daily_usage
ORDER BY scope COLLATE "C", id, kind COLLATE "C", currency COLLATE "C", day
