"""Checks who calls and what they say, publishes, waits, answers. Decides nothing."""
