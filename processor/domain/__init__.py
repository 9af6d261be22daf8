"""What is decided, and what it does to allocations, accounts and the journal. Pure."""
