SELECT partition, next_offset, hash FROM watermark WHERE partition = ANY(%(partitions)s) ORDER BY partition FOR UPDATE
