"""The tables: what a batch needs is loaded, what it left is committed."""
