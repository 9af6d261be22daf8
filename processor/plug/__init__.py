"""A platform's own policy, in a process of its own (docs/policy.md)."""
