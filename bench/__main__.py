"""`python -m bench`: the verbs of the Makefile."""

import sys

import click

from bench.adjustments import adjustments
from bench.compare import compare
from bench.counts import counts
from bench.errors import BenchError
from bench.growth.command import growth
from bench.peers.command import peers
from bench.report import report
from bench.run import run
from local.report import LocalError


class Verbs(click.Group):
    def invoke(self, context: click.Context) -> object:
        """Run the verb; what stands in its way is a sentence."""
        try:
            return super().invoke(context)
        except (BenchError, LocalError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """Measure this system on this machine."""


main.add_command(run)
main.add_command(compare)
main.add_command(growth)
main.add_command(counts)
main.add_command(peers)
main.add_command(adjustments)
main.add_command(report)

if __name__ == "__main__":
    main()
