"""Runs every check of a configured environment, each bounded in time; none changes anything.

One after the other: what a check needs was found well by those before it, or it is not run and says why.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import click
import psycopg
from aiokafka.errors import KafkaError

from cli.doctor import (
    clocks,
    files,
    kafka_rights,
    kafka_servers,
    kafka_topics,
    log_and_tables,
    postgres_rights,
    postgres_server,
    settings,
)
from cli.doctor.finding import Finding, Verdict, fail, warn
from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from service.errors import OperatorError, UnavailableError
from service.settings import ServiceSettings

CHECK_SECONDS: Final = 20.0
"""Longer than a client of Kafka or Postgres waits for one answer."""

AGAIN: Final = "mend what is above, then look again"

Check = Callable[[ServiceSettings], Awaitable[list[Finding]]]

KAFKA: Final[tuple[tuple[str, Check], ...]] = (
    ("kafka topics", kafka_topics.check),
    ("kafka rights", kafka_rights.check),
    ("broker's clock", clocks.check_kafka),
)
POSTGRES: Final[tuple[tuple[str, Check], ...]] = (
    ("migrations", postgres_server.check_tables),
    ("postgres settings", postgres_server.check_settings),
    ("commits", postgres_server.check_commits),
    ("pooler", postgres_server.check_pooler),
    ("postgres rights", postgres_rights.check),
    ("postgres clock", clocks.check_postgres),
)


@dataclass(frozen=True)
class Fleet:
    """How many processes there are to be."""

    ingresses: int
    processors: int


@dataclass(frozen=True)
class Row:
    """A finding, and the processes whose environment has it."""

    processes: tuple[str, ...]
    finding: Finding


async def look(fleet: Fleet) -> list[Row]:
    """All findings of the processes whose settings this environment has. Raises UsageError when it has none's."""
    models: dict[str, type[ServiceSettings]] = {"ingress": IngressSettings, "processor": ProcessorSettings}
    given = {name: model for name, model in models.items() if settings.has_any(model, os.environ)}
    if not given:
        raise click.UsageError("this environment has no variable INGRESS_… and none PROCESSOR_…: there is no setting")
    found = {name: await _process(model, fleet) for name, model in given.items()}
    rows = _merged(found)
    rows += [Row((name,), settings.not_given(model)) for name, model in models.items() if name not in given]
    return rows


async def _process(model: type[ServiceSettings], fleet: Fleet) -> list[Finding]:
    read, findings = settings.check(model, os.environ)
    if read is None:
        return findings
    findings += await _bounded("files", files.check, read)
    findings += await _servers("kafka", kafka_servers.check, KAFKA, read)
    findings += await _servers("postgres", postgres_server.check_reach, POSTGRES, read)
    if _is_well("postgres", findings):
        findings += await _bounded(
            "connections", lambda given: postgres_server.check_room(given, *_counts(fleet)), read
        )
    if _is_well("kafka", findings) and _is_well("postgres", findings) and _is_well("migrations", findings):
        findings += await _bounded("log and tables", log_and_tables.check, read)
    else:
        findings.append(warn("log and tables", "not compared, for want of an answer from both", AGAIN))
    return findings


def _counts(fleet: Fleet) -> tuple[int, int]:
    return fleet.ingresses, fleet.processors


async def _servers(
    name: str, reach: Check, checks: tuple[tuple[str, Check], ...], given: ServiceSettings
) -> list[Finding]:
    findings = await _bounded(name, reach, given)
    if not _is_well(name, findings):
        skipped = ", ".join(each for each, _ in checks)
        return [*findings, warn(name, f"not looked at, for want of an answer: {skipped}", AGAIN)]
    for each, check in checks:
        findings += await _bounded(each, check, given)
    return findings


def _is_well(check: str, findings: list[Finding]) -> bool:
    return not any(each.check == check and each.verdict is Verdict.FAIL for each in findings)


async def _bounded(name: str, check: Check, given: ServiceSettings) -> list[Finding]:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check(given)
    except OperatorError as error:
        found, _, remedy = str(error).partition(": ")
        return [fail(name, found, remedy)]
    except TimeoutError:
        return [fail(name, f"no answer within {CHECK_SECONDS:.0f} s", "see whether something on the way drops packets")]
    except (KafkaError, psycopg.Error, OSError, UnavailableError) as error:
        words = " ".join(str(error).split()).removeprefix(f"{type(error).__name__}: ")
        return [
            fail(name, f"{type(error).__name__}: {words or 'no answer'}", "look at that server, and at its own log")
        ]


def _merged(found: dict[str, list[Finding]]) -> list[Row]:
    """What two processes have in common is one row."""
    names: dict[Finding, tuple[str, ...]] = {}
    for name, findings in found.items():
        for each in dict.fromkeys(findings):
            names[each] = (*names.get(each, ()), name)
    return [Row(processes, each) for each, processes in names.items()]
