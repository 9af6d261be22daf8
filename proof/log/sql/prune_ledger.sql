DELETE FROM ledger WHERE partition = %(partition)s AND "offset" >= %(first)s AND "offset" < %(beyond)s
