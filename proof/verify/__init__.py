"""Every table beside what follows from the log."""
