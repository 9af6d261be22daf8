"""`allocations capture`: a topic, or a part of it, into a file."""

import asyncio
import sys
from datetime import datetime
from pathlib import Path

import click

from cli.connections import INTERRUPTED, Instant, errors_said, kafka_options, settings_of
from cli.progress import progress
from replay.capture import Holds, Wanted, find_source, records
from replay.capture_file import writing
from service.errors import OperatorError
from service.kafka import commands_reader, reader
from service.process import stop_requested, unless
from service.settings import ServiceSettings


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--topic",
    "holds",
    type=click.Choice(["commands", "events", "dead-letters"]),
    default="commands",
    show_default=True,
    help="which of our topics",
)
@click.option(
    "--partition", "partitions", multiple=True, type=click.IntRange(0), help="only this one; repeatable [default: all]"
)
@click.option("--since", type=Instant(), help="from this instant on: 2026-11-21T15:00:00Z, or 15m, 2h, 3d ago")
@click.option("--until", type=Instant(), help="up to, and without, this instant")
@click.option("--from-offset", type=click.IntRange(0), help="from this offset on, in each partition")
@click.option("--until-offset", type=click.IntRange(0), help="up to, and without, this offset, in each partition")
@kafka_options
def capture(
    file: Path,
    holds: Holds,
    partitions: tuple[int, ...],
    since: datetime | None,
    until: datetime | None,
    from_offset: int | None,
    until_offset: int | None,
    kafka: str | None,
    prefix: str | None,
) -> None:
    """Write a topic to FILE, for `allocations load` or for other programs (the format is in docs/replay.md).

    Every record as it is: key, value and header bytes, timestamp, partition and offset; committed records only. It ends
    at the end that the topic has at the start. FILE has its name when it is complete: after Ctrl-C, a crash or a full
    disk there is none. Exit status 0: complete. Other connection settings are read from PROCESSOR_KAFKA_….
    """
    wanted = Wanted(holds, frozenset(partitions) or None, since, until, from_offset, until_offset)
    with errors_said():
        if file.exists():
            raise OperatorError(f"{file} exists, and a capture is never overwritten: name another file")
        if not file.absolute().parent.is_dir():
            raise OperatorError(f"there is no folder {file.absolute().parent}: make it, or name another file")
        said = asyncio.run(_capture(settings_of(kafka=kafka, prefix=prefix), wanted, file))
    if said is None:
        click.echo(f"interrupted: there is no {file}", err=True)
        sys.exit(INTERRUPTED)
    click.echo(said)


async def _capture(settings: ServiceSettings, wanted: Wanted, file: Path) -> str | None:
    return await unless(stop_requested(), _write(settings, wanted, file))


async def _write(settings: ServiceSettings, wanted: Wanted, file: Path) -> str:
    async with commands_reader(settings) if wanted.holds == "commands" else reader(settings) as consumer:
        source = await find_source(settings, consumer, wanted)
        offsets = sum(end - start for start, end in source.ranges.values())
        with progress("capturing", offsets, "offsets") as report, writing(file, source) as writer:
            async for record in records(consumer, source):
                writer.add(record)
                report(1)
    count = writer.counts.total()
    return f"captured {count} records of {source.topic} in {file}"
