"""Commands out, and how long the log is."""
