"""Loads a checkpoint's rows into an empty database, all or none, if the log is the checkpoint's."""

from pathlib import Path
from typing import Any, Final

import orjson

from processor.domain.account import Account
from processor.domain.connection import PlatformAccount
from processor.postgres.rows import usage_of_row, usage_row
from proof.checkpoint.file import SUBJECT_BLOCKS, BlockKind, Checkpoint, reading
from proof.log.progress import Progress
from proof.log.snapshot import PATIENT
from service.kafka import Consumers
from service.log_checks import check_positions
from service.postgres import Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

_COLUMNS: Final = {part: table.columns for part, table in SUBJECT_BLOCKS.items()} | {
    BlockKind.ACCOUNTS: Account._fields,
    BlockKind.PLATFORM_ACCOUNTS: PlatformAccount._fields,
}
_NOTHING: Final[dict[str, list[Any]]] = {
    name: []
    for name in (
        *("new_allocations", "changed_allocations", "new_accounts", "changed_accounts", "journal", "ledger"),
        *("dead_letters", "watermarks", "absent_ids"),
    )
}
_NO_PLATFORM: Final[dict[str, list[Any]]] = {
    name: []
    for name in (
        *("new_adjustments", "new_connections", "changed_connections", "new_platform_accounts"),
        *("changed_platform_accounts", "read_connections", "absent_adjustments"),
    )
}
_PROOF: Final = statements("proof.log")
_PROCESSOR: Final = statements("processor.postgres")


async def restore(settings: ServiceSettings, file: Path, consumers: Consumers, progress: Progress) -> None:
    """One transaction. Raises OperatorError when the file is damaged, or is of a log that was created again."""
    async with await connect(settings, "allocations-rebuild", PATIENT) as connection, connection.transaction():
        with reading(file, progress) as checkpoint:
            await _insert_watermarks(connection, checkpoint.checkpoint)
            for part, rows in checkpoint:
                await _insert(connection, part, rows)
        await check_positions(settings, connection, consumers, checkpoint.checkpoint.marks, may_be_older=True)


async def _insert_watermarks(connection: Connection, checkpoint: Checkpoint) -> None:
    marks = checkpoint.marks
    await connection.execute(
        _PROOF["restore_watermarks"],
        {
            "partitions": list(marks),
            "next_offsets": [mark.next_offset for mark in marks.values()],
            "hashes": [mark.hash for mark in marks.values()],
        },
    )


async def _insert(connection: Connection, part: BlockKind, rows: list[Any]) -> None:
    """By the statement with which a processor saves a batch."""
    found: dict[str, Any]
    if part in _COLUMNS:
        named = [dict(zip(_COLUMNS[part], row, strict=True)) for row in rows]
        new = f"new_{part.name.lower()}"
        found = {new: named} if new in _NOTHING else {"platform": _NO_PLATFORM | {new: named}}
    elif part is BlockKind.USAGES:
        usages = [usage_row(usage_of_row(row)) for row in rows]
        found = {"usages": {"new_usages": usages, "changed_usages": []}}
    else:
        found = {
            "journal": [row["journal"] | {"hash": _bytes(row["journal"]["hash"])} for row in rows],
            "ledger": [entry for row in rows for entry in row["ledger"]],
            "dead_letters": [_dead_letter(row["dead_letter"]) for row in rows if row["dead_letter"] is not None],
        }
    await connection.execute(_PROCESSOR["save"], {"batch": orjson.dumps(_NOTHING | found).decode()})


def _dead_letter(row: dict[str, Any]) -> dict[str, Any]:
    """Bytes are hexadecimal digits in the file."""
    return row | {
        "key": _bytes(row["key"]),
        "value": _bytes(row["value"]),
        "header_names": [_bytes(each) for each in row["header_names"]],
        "header_values": [_bytes(each) for each in row["header_values"]],
    }


def _bytes(digits: str | None) -> str | None:
    """As Postgres reads bytes."""
    return None if digits is None else f"\\x{digits}"
