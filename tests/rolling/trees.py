"""Source trees for an upgrade: a git reference of this repository, and this tree with a migration more."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.sources import source
from bench.stack import ROOT
from schemas.commands import COMMAND_SCHEMA_VERSION

SAMPLE: Final = "9999.sample.sql"
SAMPLE_SQL: Final = """\
-- What an upgrade may do beside running processes: a column that may be null, and a table of its own.
ALTER TABLE allocation ADD COLUMN sample text;
CREATE TABLE sample (only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row));
"""


@dataclass(frozen=True)
class Tree:
    """A source tree, and what a report calls it."""

    name: str
    folder: Path


def head() -> Tree:
    return Tree("this tree", ROOT)


def at(reference: str, into: Path) -> Tree:
    """The tree of a git reference, or a folder. Raises BenchError when there is none such."""
    into.mkdir(parents=True, exist_ok=True)
    folder, commit = source(reference, into)
    return Tree(f"{reference} ({commit})" if commit else reference, folder)


def with_a_migration(into: Path, sql: str = SAMPLE_SQL) -> Tree:
    """A newer version of this tree: it has one migration more."""
    folder = copy(into)
    (folder / "service/migrations" / SAMPLE).write_text(sql)
    return Tree("this tree with one migration more", folder)


def with_another_command(into: Path) -> Tree:
    """A newer version of this tree, whose commands have a field more and the next schema version."""
    folder = copy(into)
    newer = COMMAND_SCHEMA_VERSION + 1
    _edit(
        folder / "schemas/commands.py",
        f"COMMAND_SCHEMA_VERSION: Final = {COMMAND_SCHEMA_VERSION}\n",
        f"COMMAND_SCHEMA_VERSION: Final = {newer}\n",
    )
    _edit(
        folder / "schemas/commands.py",
        f"Literal[{COMMAND_SCHEMA_VERSION}]",
        f"Literal[{COMMAND_SCHEMA_VERSION}, {newer}]",
    )
    _edit(
        folder / "schemas/commands.py",
        "    after_final: AfterFinal\n",
        "    after_final: AfterFinal\n    sample: str | None = None\n",
    )
    _edit(
        folder / "ingress/submit.py",
        "        after_final=after_final,\n",
        '        after_final=after_final,\n        sample="news",\n',
    )
    return Tree("this tree with another command", folder)


def _edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert text.count(before) == 1, f"{file} has {before!r} {text.count(before)} times"
    file.write_text(text.replace(before, after))


def copy(into: Path) -> Path:
    """A copy of what git knows of this tree, as it stands."""
    wanted = ("*.py", "*.sql", "*.json", "*.lock")
    listed = subprocess.run(  # noqa: S603 - our own argv
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", *wanted],  # noqa: S607
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, into / name)
    return into


def default_base() -> str:
    """The newest tag that this tree comes after; without any tag, the commit that was landed before this one."""
    found = subprocess.run(  # noqa: S603
        ["git", "-C", ROOT, "describe", "--tags", "--abbrev=0", "HEAD^"],  # noqa: S607
        capture_output=True,
        check=False,
        text=True,
    )
    return found.stdout.strip() or "HEAD^"
