"""Proof that the tables are what the log says: verification, and rebuilding (decision 15)."""
