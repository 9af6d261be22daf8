"""Numbers that a skeptic can repeat: how fast it is, where the time goes, how it grows (docs/performance.md)."""
