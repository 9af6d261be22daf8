"""`python -m tests.faults.run`: real traffic, a seeded schedule of faults, and the check of everything afterwards."""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

import click

from local.report import LocalError
from tests.faults.run.brokers import BROKER_FAULTS
from tests.faults.run.catalog import FAULTS
from tests.faults.run.disk import throw_away
from tests.faults.run.play import Options, play

CATALOGUES = {1: FAULTS, 3: BROKER_FAULTS}
BY_NAME = {fault.name: fault for faults in CATALOGUES.values() for fault in faults}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.option(
    "--seed", type=int, help="of the schedule and the traffic: the same one breaks the same in the same order"
)
@click.option(
    "--minutes", type=click.FloatRange(0.1, 600), default=2.0, show_default=True, help="how long things break"
)
@click.option("--faults", "names", default="", help=f"which, comma-separated: {', '.join(BY_NAME)}  [default: all]")
@click.option("--clients", type=click.IntRange(1, 200), default=12, show_default=True, help="how many callers")
@click.option("--slack", type=click.FloatRange(1), default=1.0, show_default=True, help="factor on the targets")
@click.option("--brokers", type=click.Choice(["1", "3"]), default="1", show_default=True, help="how many there are")
@click.option("--record", is_flag=True, help="put the table into docs/reliability.md and the README")
@click.option("--keep", type=click.Path(path_type=Path), help="folder for history and logs  [default: thrown away]")
def main(
    *,
    seed: int | None,
    minutes: float,
    names: str,
    clients: int,
    slack: float,
    brokers: str,
    record: bool,
    keep: Path | None,
) -> None:
    """Break everything that can break while BitGo calls, then check that nothing was lost, doubled or contradicted.

    Exit status 0: nothing was found; 1: something was, and it was printed with the seed.
    """
    catalogue = {fault.name: fault for fault in CATALOGUES[int(brokers)]}
    unknown = [name for name in names.split(",") if name and name not in catalogue]
    if unknown:
        known = f"known with --brokers {brokers} are {', '.join(catalogue)}"
        raise click.BadParameter(f"{', '.join(unknown)}: {known}", param_hint="--faults")
    faults = tuple(catalogue[name] for name in names.split(",") if name) or CATALOGUES[int(brokers)]
    folder = Path(tempfile.mkdtemp(prefix="allocations-faults-"))
    chosen = random.randrange(10**9) if seed is None else seed
    try:
        options = Options(folder, chosen, minutes, faults, clients, slack, record, keep, int(brokers))
        clean = asyncio.run(play(options))
    except LocalError as error:
        raise click.ClickException(str(error)) from error
    finally:
        throw_away(folder)
    sys.exit(not clean)


main()
