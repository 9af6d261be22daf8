"""The product beside Restate, asked the same: `make bench-peers`."""
