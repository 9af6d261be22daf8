"""A report in the forms that others read."""
