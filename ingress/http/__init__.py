"""Listening, bodies and their limits, and every way in which a request is refused."""
