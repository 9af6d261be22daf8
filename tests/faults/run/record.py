"""Puts what a run printed where people look for it: between markers in docs/reliability.md and the README."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
FULL: Final = "last full run"
BROKERS: Final = "last run on three brokers"


def record(table: Sequence[str], sentence: str, brokers: int = 1, root: Path = ROOT) -> None:
    """A run on three brokers has its table in a document of its own, and no sentence in the README."""
    if brokers > 1:
        _fill(root / "docs" / "brokers.md", BROKERS, "\n".join(table))
        return
    _fill(root / "docs" / "reliability.md", FULL, "\n".join(table))
    _fill(root / "README.md", FULL, sentence)


def _fill(file: Path, part: str, words: str) -> None:
    begin, end = f"<!-- begin {part} -->", f"<!-- end {part} -->"
    text, count = re.subn(f"{begin}.*?{end}", lambda _: f"{begin}\n{words}\n{end}", file.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{file} has no part {begin} … {end}")
    file.write_text(text)
