"""Events and dead letters out, each once, in journal order (decision 16)."""
