"""Decides, in log order per key, and writes. Knows no HTTP."""
