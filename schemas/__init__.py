"""What travels: commands, events, topics, HTTP bodies. Needs pydantic and the standard library only."""
