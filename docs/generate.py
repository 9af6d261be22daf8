"""Writes what in the README and in docs/ is made from the code; with --check, says whether it is up to date.

Between `<!-- begin NAME -->` and `<!-- end NAME -->` the README is made here.
"""

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from cli.settings import table as settings_table
from ingress.openapi import document as openapi
from ingress.settings import IngressSettings
from processor.domain.machine import POLICY, REISSUE, REPEAT, TABLE, Cell
from schemas.asyncapi import document as asyncapi
from schemas.topics import Topics
from schemas.words import Refusal, Status, Verb

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = {"postgres_url": "postgresql://", "enterprise_id": "enterprise", "bitgo_public_key_files": ("bitgo.pem",)}


def transition_table() -> str:
    rows = ["| now ↓ / asked → | reserve | clear | release |", "|---|---|---|---|"]
    for now, cells in TABLE.items():
        rows.append(f"| {now or 'nothing'} | " + " | ".join(_cell(cells[verb], now, verb) for verb in Verb) + " |")
    return "\n".join(rows)


def _cell(cell: Cell, now: Status | None, verb: Verb) -> str:
    text = _word(cell)
    if verb is Verb.RELEASE and now is None:
        text += ", and a tombstone"
    if verb is Verb.RESERVE and now in REISSUE:
        text += f"; with `reissue`: {_word(REISSUE[now])}"
    return text


def _word(cell: Cell) -> str:
    if cell == POLICY:
        return "policy decides: **reserved** or **rejected**"
    if cell == REPEAT:
        return "200, current status"
    return (
        f"404 `{cell}`"
        if cell is Refusal.NOT_FOUND
        else f"409 `{cell}`"
        if isinstance(cell, Refusal)
        else f"**{cell}**"
    )


def readme(text: str) -> str:
    parts: dict[str, Callable[[], str]] = {"transition table": transition_table, "settings": settings_table}
    for name, make in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        text, count = re.subn(
            f"{begin}.*?{end}", lambda _, b=begin, e=end, m=make: f"{b}\n{m()}\n{e}", text, flags=re.DOTALL
        )
        if count != 1:
            raise SystemExit(f"the README has no part {begin} … {end}")
    return text


def generated() -> dict[Path, str]:
    release = version("allocations")
    documents = {
        "asyncapi.json": asyncapi(release, Topics()),
        "openapi.json": openapi(IngressSettings(**SAMPLE)),
    }
    made = {ROOT / "docs" / name: json.dumps(document, indent=2) + "\n" for name, document in documents.items()}
    return made | {ROOT / "README.md": readme((ROOT / "README.md").read_text())}


def main() -> None:
    stale = [file for file, text in generated().items() if not file.exists() or file.read_text() != text]
    if "--check" in sys.argv:
        for file in stale:
            print(f"{file.relative_to(ROOT)} is not what the code says: run `make docs`")
        sys.exit(bool(stale))
    for file, text in generated().items():
        file.write_text(text)


main()
