"""What lasts says how far it is."""

from typing import Protocol


class Progress(Protocol):
    def phase(self, what: str, total: int) -> None:
        """Another piece of work begins, of so many steps."""

    def advance(self, steps: int) -> None:
        """So many more steps are done."""
