"""`allocations up`: everything on one machine, until Ctrl-C."""

import asyncio
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from local.report import LocalError, Report, reporter
from local.stack import Options, Stack
from local.supervisor import Change
from service.errors import EXIT_OPERATOR, OperatorError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def stack_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that `up` and its relatives share."""
    for option in reversed(
        [
            click.option(
                "--data",
                default=".data",
                show_default=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="data folder; survives a stop and a kill",
            ),
            click.option(
                "--port", type=click.IntRange(0, 65535), help="port of the ingress, 0 for any free one  [default: 8080]"
            ),
            click.option(
                "--ingress",
                "ingresses",
                default=2,
                show_default=True,
                type=click.IntRange(1, 64),
                help="ingress processes",
            ),
            click.option("--processors", default=2, show_default=True, type=click.IntRange(1, 64), help="processors"),
            click.option(
                "--partitions",
                default=8,
                show_default=True,
                type=click.IntRange(1, 1000),
                help="partitions of the topics, for ever",
            ),
            click.option(
                "--bitgo-key",
                "bitgo_keys",
                multiple=True,
                type=_FILE,
                help="BitGo's public key (PEM); repeatable. Without it a development key is made",
            ),
            click.option(
                "--brokers",
                type=click.Choice(["1", "3"]),
                default="1",
                show_default=True,
                callback=lambda _context, _option, value: int(value),
                help="embedded Kafka brokers, for ever, and copies of new topics; of three, any one can be lost",
            ),
            click.option("--kafka", metavar="HOST:PORT", help="use this Kafka instead of an embedded one"),
            click.option("--postgres", metavar="URL", help="use this Postgres instead of an embedded one"),
            click.option("--enterprise-id", default="enterprise", show_default=True, help="our enterprise id at BitGo"),
            click.option(
                "--connections",
                type=click.Choice(["open", "registered"]),
                default="open",
                envvar="PROCESSOR_CONNECTIONS",
                show_default=True,
                help="whether reserves must name a connection that BitGo has activated; `open` is for development",
            ),
            click.option("--topic-prefix", default="", help="put before every topic's name"),
        ]
    ):
        command = option(command)
    return command


@click.command()
@stack_options
def up(**given: Any) -> None:
    """Run everything on this machine: Kafka, Postgres, the ingress processes and the processors; restart what dies.

    When all is ready, one line of JSON on standard output says where. The processes' logs are files in the data folder;
    what goes wrong is also said on standard error. Any setting can be given as INGRESS_… or PROCESSOR_… in the
    environment. Ctrl-C stops everything in order; a second one at once.
    """
    sys.exit(asyncio.run(_up(Options(**given))))


async def _up(options: Options) -> int:
    report = reporter()
    stop = asyncio.Event()
    stack = Stack(options, report, lambda change: _say(report, change, stop))
    task = asyncio.create_task(_run(stack, stop))
    requests = 0

    def request() -> None:
        nonlocal requests
        requests += 1
        if requests == 1:
            report("stopping; Ctrl-C again stops at once")
            stop.set()
            if not stack.is_ready:
                task.cancel()
        else:
            stack.supervisor.kill()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, request)
    try:
        await task
    except asyncio.CancelledError:
        return 130
    except LocalError as error:
        report(str(error))
        return 1
    except OperatorError as error:
        report(str(error))
        return EXIT_OPERATOR
    return 0


async def _run(stack: Stack, stop: asyncio.Event) -> None:
    async with stack:
        click.echo(json.dumps(stack.description()))
        await stop.wait()


def _say(report: Report, change: Change, stop: asyncio.Event) -> None:
    if stop.is_set() or change.what == "started":
        return
    how = "" if change.status is None else f" with status {change.status}"
    report(f"{change.name} (process {change.pid}) {change.what}{how}")
