SELECT FROM watermark WHERE partition = %(partition)s AND pruned_before > %(offset)s
