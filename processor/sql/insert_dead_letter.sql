INSERT INTO dead_letter (partition, "offset", reason, key, value, header_names, header_values, recorded_at)
VALUES (
    %(partition)s, %(offset)s, %(reason)s, %(key)s, %(value)s, %(header_names)s::bytea[], %(header_values)s::bytea[],
    %(recorded_at)s
)
