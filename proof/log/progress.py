"""Progress of long commands."""

from typing import Protocol


class Progress(Protocol):
    def phase(self, what: str, total: int) -> None:
        """A phase of so many steps begins."""

    def advance(self, steps: int) -> None:
        """So many more steps are done."""
