SELECT key, value, header_names, header_values FROM dead_letter WHERE partition = %(partition)s AND "offset" = %(offset)s
