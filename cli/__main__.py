"""`python -m cli` is `allocations`."""

from cli.main import main

main(prog_name="allocations")
