"""What policy would say now of what it decided then."""
