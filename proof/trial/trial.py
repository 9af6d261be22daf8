"""Asks today's policy of the reserves of a part of the log, with the facts that were recorded of each (docs/policy.md).

Changes nothing. What was not recorded because no rule asked for it then is taken from what is there: of sums of a day,
what was reserved since the start of the part; of a connection, its row as it is today.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from processor.domain.account import Account
from processor.domain.batch import Record, read
from processor.domain.connection import Connection as ClientConnection
from processor.domain.policy import Ask, Known, PolicySettings, judge
from processor.domain.usage import Usage, UsageKey, count, usages_before
from processor.postgres.rows import connection_of_row
from proof.log.progress import Progress
from proof.log.replay import account_before
from proof.log.snapshot import PATIENT
from replay.capture import Wanted, find_source, records
from replay.captured import Captured
from schemas.commands import Reserve
from schemas.events import Facts, PlugFact
from schemas.records import NewerSchemaError, Position
from schemas.words import Kind
from service.kafka import commands_reader
from service.postgres import Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

PART_RECORDS: Final = 500
APPROVED: Final = "approved"

_SQL: Final = statements("proof.trial")


class Difference(NamedTuple):
    """`then`, `now`: `approved`, or the reason of the rejection."""

    position: Position
    recorded_at: datetime
    command: Reserve
    then: str
    now: str
    plug: PlugFact | None


@dataclass
class Tried:
    """`undecided`: reserves that policy was not asked of then: repeats, refusals, what is not applied or is pruned."""

    reserves: int = 0
    undecided: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)


class _Decided(NamedTuple):
    """What the journal has of a reserve that policy decided."""

    reason: str | None
    facts: Facts
    is_reserved: bool


async def try_log(
    settings: ServiceSettings,
    rules: PolicySettings,
    ask: Ask | None,
    wanted: Wanted,
    differs: Callable[[Difference], None],
    progress: Progress,
) -> Tried:
    """Raises OperatorError when there is no such topic, and what `is_passing` knows when Kafka or Postgres is away."""
    tried = Tried()
    sums: dict[UsageKey, Usage] = {}
    async with commands_reader(settings) as consumer, await connect(settings, "allocations-policy", PATIENT) as tables:
        source = await find_source(settings, consumer, wanted)
        progress.phase("reserves", sum(end - start for start, end in source.ranges.values()))
        async for part in _parts(records(consumer, source)):
            reserves = [each for one in part if (each := _reserve(one, source.partitions))]
            decided = await _decided(tables, [record for record, _ in reserves])
            connections = await _connections(tables, [command.connection_id for _, command in reserves])
            for record, command in reserves:
                tried.reserves += 1
                was = decided.get((record.partition, record.offset))
                if was is None:
                    tried.undecided += 1
                    continue
                known = _known(record, command, was, connections, sums)
                now = judge(command, known, rules, ask)
                _count(rules, record, command, was, sums)
                pair = was.reason or APPROVED, now.verdict.reason or APPROVED
                tried.changes[pair] += 1
                if pair[0] != pair[1]:
                    position = Position(source.topic, record.partition, record.offset)
                    differs(Difference(position, record.recorded_at, command, *pair, now.plug))
            progress.advance(len(part))
    return tried


async def _parts(found: AsyncIterator[Captured]) -> AsyncIterator[list[Captured]]:
    part: list[Captured] = []
    async for each in found:
        part.append(each)
        if len(part) == PART_RECORDS:
            yield part
            part = []
    if part:
        yield part


def _reserve(captured: Captured, partitions: int) -> tuple[Record, Reserve] | None:
    record = Record(
        captured.partition,
        captured.offset,
        captured.recorded_at,
        captured.key,
        captured.value,
        list(captured.headers),
    )
    try:
        content = read(record, partitions).content
    except NewerSchemaError:
        return None
    return (record, content) if isinstance(content, Reserve) else None


async def _decided(tables: Connection, asked: list[Record]) -> dict[tuple[int, int], _Decided]:
    where = {"partitions": [each.partition for each in asked], "offsets": [each.offset for each in asked]}
    cursor = await tables.execute(_SQL["reserves_decided"], where)
    return {(row[0], row[1]): _Decided(row[2], Facts.model_validate(row[3]), row[4]) async for row in cursor}


async def _connections(tables: Connection, connection_ids: list[str]) -> dict[str, ClientConnection]:
    cursor = await tables.execute(_SQL["connections"], {"connection_ids": sorted(set(connection_ids))})
    return {row[0]["connection_id"]: connection_of_row(row[0]) async for row in cursor}


def _known(
    record: Record,
    command: Reserve,
    was: _Decided,
    connections: Mapping[str, ClientConnection],
    sums: Mapping[UsageKey, Usage],
) -> Known:
    recorded = {usage.key: usage for usage in usages_before(was.facts.usage)}
    connection = None if was.facts.connection_version == 0 else connections.get(command.connection_id)
    account = account_before(was.facts.account) if was.facts.account else _empty(command)
    return Known(record.recorded_at, account, connection, {**sums, **recorded})


def _empty(command: Reserve) -> Account | None:
    return Account(command.connection_id, command.amount.currency) if command.kind is Kind.DEALLOCATION else None


def _count(rules: PolicySettings, record: Record, command: Reserve, was: _Decided, sums: dict[UsageKey, Usage]) -> None:
    if not was.is_reserved:
        return
    for key in rules.usage_keys(command, record.recorded_at):
        sums[key] = count(sums.get(key) or Usage(key), int(command.amount.quantity))


def described(difference: Difference) -> dict[str, Any]:
    """As JSON."""
    command = difference.command
    return {
        "position": str(difference.position),
        "recordedAt": difference.recorded_at.isoformat(),
        "kind": command.kind,
        "id": command.allocation_id,
        "clientId": command.client_id,
        "connectionId": command.connection_id,
        "currency": command.amount.currency,
        "quantity": command.amount.quantity,
        "then": difference.then,
        "now": difference.now,
        "plug": difference.plug and difference.plug.model_dump(exclude_none=True),
    }
