"""What the floor does to its tables: the product's transaction with everything left out that one could leave out.

The round trips are those of the floor in the design's notes: begin, lock, load, all writes, commit. Claims and the
reading of the answers, which that floor does not have, are added when a job asks for them (`complete`).
"""

import json
from collections.abc import Sequence
from typing import Any, Final

import psycopg
from aiokafka import ConsumerRecord

from service.sql import statements

Connection = psycopg.AsyncConnection[tuple[Any, ...]]
Row = dict[str, Any]
Place = tuple[int, int]

_SQL: Final = statements("bench")


async def apply(connection: Connection, records: Sequence[ConsumerRecord], claims: Sequence[tuple[str, int]]) -> None:
    """One transaction: lock, load, decide, write status, journal, balances and watermarks, notify, commit."""
    partitions = sorted({record.partition for record in records})
    async with connection.transaction():
        cursor = await connection.execute(_SQL["floor_lock"], {"partitions": partitions})
        next_offsets = {row[0]: row[1] async for row in cursor}
        cursor = await connection.execute(_SQL["floor_load"], {"allocation_ids": [_id(record) for record in records]})
        names = [column.name for column in cursor.description or ()]
        states = {row[0]: dict(zip(names, row, strict=True)) async for row in cursor}
        changed: dict[str, Row] = {}
        journal: list[Row] = []
        moved: dict[tuple[str, str], int] = {}
        for record in records:
            if record.offset != next_offsets[record.partition]:
                raise RuntimeError(f"offset {record.offset} where {next_offsets[record.partition]} is the next")
            next_offsets[record.partition] += 1
            journal.append(_decide(record, states, changed, moved))
        async with connection.pipeline():
            await connection.execute(_SQL["floor_status"], {"rows": json.dumps(list(changed.values()))})
            await connection.execute(_SQL["floor_journal"], {"rows": json.dumps(journal)})
            if moved:
                await connection.execute(_SQL["floor_balance"], {"rows": json.dumps(_balances(moved))})
            if claims:
                jtis, expiries = zip(*claims, strict=True)
                await connection.execute(_SQL["floor_claim"], {"jtis": list(jtis), "expiries": list(expiries)})
            ends = [next_offsets[partition] for partition in partitions]
            await connection.execute(_SQL["floor_advance"], {"partitions": partitions, "next_offsets": ends})
            await connection.execute(_SQL["floor_notify"], {"payload": json.dumps(next_offsets)})


def _decide(
    record: ConsumerRecord, states: dict[str, Row], changed: dict[str, Row], moved: dict[tuple[str, str], int]
) -> Row:
    command, key = json.loads(record.value), _id(record)
    state = states.get(key)
    outcome = "refused"
    if command["verb"] == "reserve" and state is None:
        state = {name: command[name] for name in ("quantity", "currency", "connection_id", "client_id")}
        state |= {"allocation_id": key, "status": "reserved", "version": 1}
        states[key] = changed[key] = state
        outcome = "applied"
    elif command["verb"] == "clear" and state is not None and state["status"] == "reserved":
        state |= {"status": "cleared", "version": state["version"] + 1}
        changed[key] = state
        account = state["connection_id"], state["currency"]
        moved[account] = moved.get(account, 0) + int(state["quantity"])
        outcome = "applied"
    version = state["version"] if state else 0
    place = {"partition": record.partition, "offset": record.offset}
    return {**place, "allocation_id": key, "verb": command["verb"], "outcome": outcome, "version": version}


def _balances(moved: dict[tuple[str, str], int]) -> list[Row]:
    return [
        {"connection_id": connection_id, "currency": currency, "quantity": str(quantity)}
        for (connection_id, currency), quantity in moved.items()
    ]


async def read(connection: Connection, places: Sequence[Place]) -> dict[Place, tuple[Any, ...]]:
    """The answers to a batch, from its rows."""
    asked = {"partitions": [place[0] for place in places], "offsets": [place[1] for place in places]}
    cursor = await connection.execute(_SQL["floor_read"], asked)
    return {(row[0], row[1]): row[2:] async for row in cursor}


def _id(record: ConsumerRecord) -> str:
    return bytes(record.key).decode()
