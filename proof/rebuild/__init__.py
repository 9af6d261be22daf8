"""The tables anew, from the log."""
