"""BitGo on a desk: a caller, a server and their common ledger."""
