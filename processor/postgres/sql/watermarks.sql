SELECT partition, next_offset FROM watermark
