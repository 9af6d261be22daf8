"""Where verifying and rebuilding can start, and what may then be deleted."""
