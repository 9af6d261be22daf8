"""Puts what a run printed where people look for it: between markers in docs/reliability.md and the README."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
BEGIN: Final = "<!-- begin last full run -->"
END: Final = "<!-- end last full run -->"


def record(table: Sequence[str], sentence: str, root: Path = ROOT) -> None:
    _fill(root / "docs" / "reliability.md", "\n".join(table))
    _fill(root / "README.md", sentence)


def _fill(file: Path, words: str) -> None:
    text, count = re.subn(f"{BEGIN}.*?{END}", lambda _: f"{BEGIN}\n{words}\n{END}", file.read_text(), flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"{file} has no part {BEGIN} … {END}")
    file.write_text(text)
