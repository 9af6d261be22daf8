SELECT partition, next_offset FROM watermark WHERE partition = ANY (%(partitions)s::int[]) ORDER BY partition FOR UPDATE
