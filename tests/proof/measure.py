"""How long verifying, rebuilding and pruning take, and how much memory: `make measure-proof ARGS="--commands 200000"`.

Fills a data folder with commands that are published straight to the topic, then runs the installed command on it. With
--data and --steps the steps can be taken one at a time; filling goes on from what is there.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import click
import psycopg
from aiokafka import AIOKafkaProducer
from pydantic import SecretStr

from local.report import reporter
from local.servers import servers_of
from local.stack import Options, Stack
from proof.log.streams import bounds
from schemas.topics import DEFAULT_PARTITIONS, Topics
from service.kafka import reader
from service.migrations import migrate
from service.settings import ServiceSettings
from tests.support.cli import ALLOCATIONS
from tests.support.history import LIMITED, History, publish

ACCOUNTS: Final = 1000
LOOK_SECONDS: Final = 0.5
STEPS: Final = ("fill", "verify", "rebuild", "verify-rebuilt", "checkpoint", "prune")
RULES: Final = {"PROCESSOR_LIMITS": f'{{"{LIMITED}": "100"}}'}
REBUILT: Final = "rebuilt"


@click.command()
@click.option("--commands", default=200_000, show_default=True, type=click.IntRange(1))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="kept; default: a temporary folder")
@click.option("--steps", multiple=True, type=click.Choice(STEPS), help="repeatable; default: all")
@click.option("--fill-seconds", default=3600.0, show_default=True, help="stop filling after this; it can go on later")
def main(commands: int, data: Path | None, steps: tuple[str, ...], fill_seconds: float) -> None:
    with tempfile.TemporaryDirectory(prefix="allocations-proof-") as folder:
        asyncio.run(_run(data or Path(folder), commands, steps or STEPS, fill_seconds))


async def _run(data: Path, commands: int, steps: tuple[str, ...], fill_seconds: float) -> None:
    if "fill" in steps:
        await _fill(data, commands, fill_seconds)
    if set(steps) == {"fill"}:
        return
    async with servers_of(data, reporter()) as servers:
        rebuilt = f"{servers.postgres.rpartition('/')[0]}/{REBUILT}"
        if "verify" in steps:
            _measured("verify", "--kafka", servers.kafka, "--postgres", servers.postgres)
        if "rebuild" in steps:
            with psycopg.connect(servers.postgres, autocommit=True) as connection:
                if not connection.execute("SELECT FROM pg_database WHERE datname = %s", (REBUILT,)).fetchall():
                    connection.execute(b"CREATE DATABASE rebuilt")
            migrate(rebuilt)
            _measured("rebuild", "--kafka", servers.kafka, "--postgres", rebuilt, **RULES)
        if "verify-rebuilt" in steps:
            _measured("verify", "--kafka", servers.kafka, "--postgres", rebuilt)
        file = str(data / "measured.checkpoint")
        if "checkpoint" in steps:
            _measured("checkpoint", file, "--kafka", servers.kafka, "--postgres", servers.postgres)
        if "prune" in steps:
            _measured("prune", "--checkpoint", file, "--log", "--kafka", servers.kafka, "--postgres", servers.postgres)


async def _fill(data: Path, commands: int, seconds: float) -> None:
    """Publish what is missing, and wait until it is applied and published."""
    os.environ |= RULES
    async with Stack(Options(data, port=0, ingresses=1, processors=2), reporter()) as stack:
        started = time.monotonic()
        with psycopg.connect(stack.postgres, autocommit=True) as connection:
            before = _applied(connection)
            missing = commands - await _published(stack)
            if missing > 0:
                producer = AIOKafkaProducer(bootstrap_servers=stack.kafka, acks="all", enable_idempotence=True)
                await producer.start()
                history = History(random.Random(), ACCOUNTS)
                await publish(producer, Topics(), DEFAULT_PARTITIONS, history, missing)
                await producer.stop()
            print(f"published {max(0, missing):,} in {time.monotonic() - started:.1f} s", file=sys.stderr)
            while (applied := _applied(connection)) < commands and time.monotonic() - started < seconds:
                await asyncio.sleep(LOOK_SECONDS)
            took = time.monotonic() - started
            print(f"applied {applied - before:,} in {took:.1f} s, {(applied - before) / took:.0f}/s", file=sys.stderr)
            await asyncio.sleep(5)


async def _published(stack: Stack) -> int:
    settings = ServiceSettings(kafka_bootstrap_servers=stack.kafka, postgres_url=SecretStr(stack.postgres))
    async with reader(settings) as consumer:
        log = await bounds(consumer, settings.topics.commands, range(DEFAULT_PARTITIONS))
    return sum(end for _, end in log.values())


def _applied(connection: psycopg.Connection[tuple[int]]) -> int:
    row = connection.execute("SELECT coalesce(sum(next_offset), 0)::bigint FROM watermark").fetchone()
    return row[0] if row else 0


def _measured(*arguments: str, **environment: str) -> None:
    """Run the command, and print what it took; its own words come before."""
    started = time.monotonic()
    process = subprocess.Popen([ALLOCATIONS, *arguments], env={**os.environ, **environment})  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    print(
        f"{arguments[0]}: status {os.waitstatus_to_exitcode(status)}, {time.monotonic() - started:.1f} s, "
        f"CPU {usage.ru_utime + usage.ru_stime:.1f} s, peak memory {usage.ru_maxrss / 1024:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
