"""One file for each subject; `catalogue` puts them in the order of the report."""
