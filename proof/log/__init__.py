"""What the proofs read: topics in order, and the tables at one moment."""
