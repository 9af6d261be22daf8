"""Records in: Faust, batches, halted partitions, the watchdog."""
