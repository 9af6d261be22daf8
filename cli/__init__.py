"""The `allocations` command: one small file for each group of verbs."""
