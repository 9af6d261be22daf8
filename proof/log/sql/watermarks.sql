SELECT partition, next_offset, hash FROM watermark
