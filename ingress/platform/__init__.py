"""The platform's own reads, for operators: over HTTP, and for the command line."""
