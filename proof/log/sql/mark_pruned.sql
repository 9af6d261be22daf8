UPDATE watermark SET pruned_before = %(next_offset)s WHERE partition = %(partition)s AND pruned_before < %(next_offset)s
