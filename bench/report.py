"""From the results of a folder to tables and pictures; into a document between its `<!-- begin NAME -->` marks."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from bench.errors import BenchError
from bench.growth import render
from bench.samples import load
from bench.tables import cpu_table, floor_table, latency_table, machine_lines, open_table, profile_table, stages_table

Part = dict[str, Any]


def closed(part: Part) -> str:
    found = load(part["samples"])
    idle = ", ".join(f"{name} {100 * cores:.1f} %" for name, cores in part["idle_cores"].items())
    idle = f"While nobody asks for anything, of one core: {idle}."
    return "\n\n".join([floor_table(found), latency_table(found), cpu_table(found), idle])


TABLES: Final[dict[str, Callable[[Part], str]]] = {
    "closed": closed,
    "open": lambda part: open_table(part["samples"]),
    "stages": lambda part: stages_table(part["levels"]),
    "profile": lambda part: profile_table(part["levels"], part["http_alone"]),
    "sizes": render.curve,
    "processes": render.curve,
    "partitions": render.curve,
    "backlog": render.backlog,
    "memory": render.memory,
}


@click.command()
@click.option(
    "--out",
    default=".bench",
    show_default=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="folder with results, and for pictures",
)
@click.option(
    "--into",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="document to fill in, with results and pictures in the folder of its name beside it",
)
def report(out: Path, into: Path | None) -> None:
    """Print the tables of a folder's results and draw its pictures again."""
    text = publish(out)
    if into is None:
        click.echo(text)
        return
    for file in (file for name in results(out) for file in out.glob(f"{name}.*")):
        shutil.copy(file, into.with_suffix(""))
    into.write_text(filled(into.read_text(), sections(out)))


def publish(out: Path) -> str:
    """All tables as Markdown, also written to report.md; the pictures beside it."""
    from bench.pictures import draw  # noqa: PLC0415 - in an environment of its own

    parts = results(out)
    for name, part in parts.items():
        draw(name, part, out)
    text = "\n\n".join(f"## {name}\n\n{section}" for name, section in sections(out).items()) + "\n"
    (out / "report.md").write_text(text)
    return text


def results(out: Path) -> dict[str, Part]:
    found = {name: json.loads(file.read_text()) for name in TABLES if (file := out / f"{name}.json").exists()}
    if not found:
        raise BenchError(f"there are no results in {out}: run `make bench` first")
    return found


def sections(out: Path) -> dict[str, str]:
    return {name: f"{TABLES[name](part)}\n\n{_origin(part)}" for name, part in results(out).items()}


def _origin(part: Part) -> str:
    made = ", ".join(f"{name}: {part[name]}" for name in ("ingresses", "processors", "partitions") if name in part)
    return f"({'; '.join(each for each in (made, machine_lines(part['machine'])) if each)})"


def filled(text: str, parts: dict[str, str]) -> str:
    """The text with its marked parts replaced; a part without a mark is an error, so that none is forgotten."""
    for name, section in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
        whole = f"{begin}\n{section}\n{end}".replace("\\", r"\\")
        text, count = re.subn(pattern, whole, text, flags=re.DOTALL)
        if count != 1:
            raise BenchError(f"the document has no part {begin} … {end}")
    return text
