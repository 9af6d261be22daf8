"""Reads and claims that never keep a request waiting."""
