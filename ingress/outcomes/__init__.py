"""What became of a command: notifications, polls, and reads of the journal (decision 9)."""
