"""Fills the checker's store from where the truth is: the history of calls, the topics, and the tables."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, LiteralString

import psycopg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from tests.checker.dead_letters import copy_row, foreign_rows
from tests.checker.store import Row, Store

TOGETHER: Final = 5000
Isolation = Literal["read_committed", "read_uncommitted"]
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
CONTENT: Final = ("clientId", "connectionId", "partnersConnectionId")
TABLES: Final[dict[str, LiteralString]] = {
    "journal": """
        SELECT partition, "offset", command_id::text, outcome, reason, status_after, version_after,
            (facts -> 'account' ->> 'sequence')::bigint, facts -> 'account' ->> 'availableBefore',
            facts -> 'account' ->> 'heldBefore'
        FROM journal
    """,
    "allocation": """
        SELECT allocation_id::text, kind, status, version,
            concat_ws('|', currency, quantity::text, client_id::text, connection_id::text, partners_connection_id)
        FROM allocation
    """,
    "account": "SELECT connection_id::text, currency, sequence, available::text, held::text FROM account",
    "ledger": """
        SELECT partition, "offset", connection_id::text, currency, debit, credit, quantity::text FROM ledger
    """,
    "dead_letter": """
        SELECT partition, "offset", reason, octet_length(value), encode(sha256(value), 'hex') FROM dead_letter
    """,
}


def load_history(store: Store, file: Path) -> None:
    with file.open() as lines:
        store.insert("call", (_call(json.loads(line)) for line in lines))


def _call(line: dict[str, Any]) -> Row:
    """One line of the history, as `tests.faults.run.history` writes them."""
    answer = line.get("answer")
    body = answer if isinstance(answer, dict) else {}  # what a balancer says by itself is no document of ours
    word = body.get("code") or body.get("status")
    headers = line.get("headers") or {}
    _, partition, offset = headers.get("Log-Position", "/None/None").rsplit("/", 2)
    version = headers.get("Allocation-Version")
    return (
        *(line["trace"], line["id"], line["kind"], line["verb"], line["start"], line.get("end")),
        *(line.get("status"), word if isinstance(word, str) else None, body.get("rejectionReason")),
        *(int(version) if version else None, headers.get("Command-Id") or body.get("commandId")),
        *(None if partition == "None" else int(partition), None if offset == "None" else int(offset)),
        *(content_of(line.get("body")), line.get("jti"), int(line.get("shared", False)), body.get(f"{line['kind']}Id")),
    )


def content_of(body: dict[str, Any] | None) -> str:
    """What a repeat of a reserve must match, in one string; empty for what is no reserve."""
    if not body:
        return ""
    amount = body["amount"]
    return "|".join([amount["currency"], str(amount["quantity"]), *(body[name] for name in CONTENT)])


async def load_topics(store: Store, kafka: str, commands: str, events: str, dead_letters: str, partitions: int) -> None:
    """The three topics from their beginning to where they end now.

    Of events and dead letters what a consumer sees; of the commands every record, whatever became of a foreign
    transaction that it is in.
    """
    async for records in read(kafka, commands, partitions, "read_uncommitted"):
        commanded = [_command(each) for each in records]
        store.insert("record", commanded)
        store.insert("foreign_record", foreign_rows(records, commanded))
    async for records in read(kafka, events, partitions):
        store.insert("event", map(_event, records))
    async for records in read(kafka, dead_letters, partitions):
        store.insert("dead_letter_copy", map(copy_row, records))


@asynccontextmanager
async def consumer(kafka: str, isolation_level: Isolation) -> AsyncIterator[AIOKafkaConsumer]:
    found = AIOKafkaConsumer(
        bootstrap_servers=kafka,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level=isolation_level,
    )
    await found.start()
    try:
        yield found
    finally:
        await found.stop()


async def read(
    kafka: str, topic: str, partitions: int, isolation_level: Isolation = "read_committed"
) -> AsyncIterator[Sequence[ConsumerRecord]]:
    async with consumer(kafka, isolation_level) as log:
        where = [TopicPartition(topic, partition) for partition in range(partitions)]
        starts, ends = await log.beginning_offsets(where), await log.end_offsets(where)
        log.assign(where)
        for each in where:
            log.seek(each, starts[each])
        while any([await log.position(each) < ends[each] for each in where]):
            for records in (await log.getmany(timeout_ms=200, max_records=TOGETHER)).values():
                yield records


def _command(record: ConsumerRecord) -> Row:
    """A record that is no command has a place and no id: the dead letters tell of it."""
    try:
        document = json.loads(record.value or b"")
        verb, kind = _words(document["command"])
        traces = [value.decode().split("-")[1] for name, value in record.headers if name == "traceparent"]
        return (
            *(record.partition, record.offset, document["allocationId"], traces[0] if traces else ""),
            *(document["commandId"], kind, verb, content_of(document if "amount" in document else None)),
            *(_microseconds(document["receivedAt"]), _microseconds(document["deadline"]), record.timestamp * 1000),
        )
    except (ValueError, KeyError, IndexError):
        return record.partition, record.offset, *[None] * 9


def _words(name: str) -> tuple[str, str]:
    """`ReserveAllocation`, `AllocationReserved`: the two words, in lower case."""
    second = next(n for n, letter in enumerate(name) if n and letter.isupper())
    return name[:second].lower(), name[second:].lower()


def _microseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def _event(record: ConsumerRecord) -> Row:
    document = json.loads(record.value or b"")
    [source] = [value.decode().rsplit("/", 1)[1] for name, value in record.headers if name == "ce_id"]
    kind, status = _words(document["event"])
    return record.partition, record.offset, int(source), document["allocationId"], document["version"], kind, status


def load_tables(store: Store, postgres_url: str) -> None:
    """In one snapshot, streamed."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        for table, statement in TABLES.items():
            with connection.cursor(name=table) as cursor:
                cursor.itersize = TOGETHER
                store.insert(table, cursor.execute(statement))
