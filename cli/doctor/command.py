"""The options of `allocations doctor`, and how findings are shown."""

import asyncio
import sys
from pathlib import Path

import click

from cli.doctor import machine


@click.command()
@click.option(
    "--data",
    default=".data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="data folder that `allocations up` will use",
)
@click.option("--production", is_flag=True, help="check what INGRESS_… and PROCESSOR_… point at instead")
@click.option("--json", "as_json", is_flag=True, help="with --production: one JSON document instead of the table")
@click.option(
    "--ingresses", default=2, show_default=True, type=click.IntRange(0, 1000), help="how many there are to be"
)
@click.option(
    "--processors", default=2, show_default=True, type=click.IntRange(0, 1000), help="how many there are to be"
)
def doctor(data: Path, *, production: bool, as_json: bool, ingresses: int, processors: int) -> None:
    """Look at this machine and say what is missing for `allocations up`, and how to get it.

    With --production, look at the environment of an ingress, of a processor, or of both: settings, files, Kafka,
    Postgres, rights, clocks, and whether log and tables belong together. Before the first start and at any later time.

    Changes nothing and downloads nothing. Exit status 1 when something that is needed is missing or wrong.
    """
    if not production:
        if as_json:
            raise click.UsageError("--json goes with --production")
        sys.exit(machine.show(data))
    from cli.doctor import production as checks  # noqa: PLC0415
    from cli.doctor import shown  # noqa: PLC0415

    rows = asyncio.run(checks.look(checks.Fleet(ingresses, processors)))
    click.echo(shown.as_json(rows) if as_json else shown.as_table(rows))
    sys.exit(shown.is_failing(rows))
