"""Records once more: topics captured to files and loaded elsewhere, dead letters looked at, retried and discarded."""
