"""Put on the path of the processes that are measured, so that they note when they were where."""
