"""Records once more: topics captured to files, and loaded elsewhere."""
