"""`allocations demo`: plays BitGo against a fresh stack, or one that runs, and shows what happens."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bitgo.client import BitGo, load_private_key
from bitgo.demo_scenario import Play
from local.report import LocalError, reporter
from schemas.topics import Topics
from service.errors import OperatorError

if TYPE_CHECKING:
    from local.stack import Stack

INTERRUPTED: Final = 130


@click.command()
@click.option("--ingress", help="URL of an ingress that runs, instead of a fresh stack")
@click.option("--kafka", default="127.0.0.1:9092", show_default=True, help="its Kafka, with --ingress")
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="private key, with --ingress")
@click.option(
    "--operator-token",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="file with an operator's token that may write, with --ingress; needed where connections are registered",
)
@click.option("--enterprise-id", default="enterprise", show_default=True, help="its enterprise id, with --ingress")
@click.option("--topic-prefix", default="", help="its topic prefix, with --ingress")
def demo(
    ingress: str | None,
    kafka: str,
    key: Path | None,
    operator_token: Path | None,
    enterprise_id: str,
    topic_prefix: str,
) -> None:
    """Start everything in a temporary folder, play BitGo with signed requests, and show each answer.

    Ends by itself: with status 0 when everything came out right, 1 when anything did not. With --ingress the play runs
    against a stack that is there already; its processes are not the demo's, so the kill in the middle is left out.
    """
    if ingress and key is None:
        raise click.UsageError("--ingress needs --key, the private key that belongs to the ingress's public one")
    try:
        if ingress and key:
            failures = asyncio.run(
                _against(
                    ingress,
                    kafka,
                    load_private_key(key.read_bytes()),
                    operator_token.read_text().strip() if operator_token else None,
                    enterprise_id,
                    Topics(topic_prefix),
                )
            )
        else:
            failures = asyncio.run(_fresh())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except (LocalError, OperatorError) as error:
        raise click.ClickException(str(error)) from error
    for failure in failures:
        click.echo(f"WRONG  {failure}")
    sys.exit(1 if failures else 0)


async def _against(
    url: str, kafka: str, key: RSAPrivateKey, operator: str | None, enterprise_id: str, topics: Topics
) -> list[str]:
    return await _play(url, key, operator, enterprise_id, kafka, topics, None)


async def _fresh() -> list[str]:
    from local.stack import Options, Stack  # noqa: PLC0415 - needs the extra `local`, which an image does not have

    report = reporter()
    with tempfile.TemporaryDirectory(prefix="allocations-demo-") as folder:
        async with Stack(Options(Path(folder), port=0, connections="registered"), report) as stack:
            report("everything is ready")
            return await _play(
                stack.url,
                load_private_key(stack.private_key.read_bytes()),
                stack.operator_token.read_text().strip(),
                stack.options.enterprise_id,
                stack.kafka,
                Topics(),
                lambda: _kill_processor(stack),
            )


async def _kill_processor(stack: "Stack") -> str:
    """SIGKILL, as a machine that loses power would: no goodbye, a batch half done."""
    name = "processor-0"
    pid = stack.supervisor.pids()[name]
    started = time.monotonic()
    stack.supervisor.signal(name, signal.SIGKILL)
    back = await stack.supervisor.restarted(name, pid)
    return f"SIGKILL to {name} (process {pid}); process {back} took its place after {time.monotonic() - started:.2f} s"


async def _play(
    url: str,
    key: RSAPrivateKey,
    operator: str | None,
    enterprise_id: str,
    kafka: str,
    topics: Topics,
    disaster: Callable[[], Awaitable[str]] | None,
) -> list[str]:
    async with BitGo(url, key) as bitgo:
        play = Play(bitgo, enterprise_id, {"bootstrap_servers": kafka}, topics, click.echo, operator)
        await play.all_acts(disaster)
    _closing_table(play)
    return play.failures


def _closing_table(play: Play) -> None:
    seconds = sorted(play.tally.seconds)
    rows = [("requests in the traffic", str(len(seconds)))]
    rows += [(f"  answered {word}", str(count)) for word, count in sorted(play.tally.answers.items())]
    if seconds:
        rows += [
            (f"{name} of an answer", f"{_quantile(seconds, at) * 1000:.1f} ms")
            for name, at in (("p50", 0.5), ("p99", 0.99))
        ]
    rows.append(("came out wrong", str(len(play.failures))))
    click.echo("")
    for name, value in rows:
        click.echo(f"  {name:28} {value:>12}")
    click.echo(f"  acknowledged {len(play.tally.acknowledged)}, found {play.tally.found}")


def _quantile(ordered: list[float], at: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * at))]
