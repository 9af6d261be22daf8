"""What a processor tells of a command is what an ingress would read of it (record 0015)."""

import uuid

from ingress.postgres.rows import OutcomeRow, outcome_row
from processor.apply import Applier
from processor.postgres.notifications import OUTCOMES_MAX
from schemas.commands import Command
from schemas.notifications import decode_notification
from schemas.words import Kind, Verb
from service.postgres import Connection
from service.sql import statements
from tests.support.batches import Log, finish, opened, reserve
from tests.support.commands import stamps


def repeat(command: Command) -> Command:
    return command.model_copy(update=stamps(command.allocation_id))


async def test_it_is_what_would_be_read(mine: Applier, connection: Connection, log: Log, database_url: str) -> None:
    """Applied, rejected, repeated, refused in every way, a tombstone; in one batch and in one each."""
    account = str(uuid.uuid4())
    first, back, unknown, ghost = reserve(5, account), reserve(9, account, Kind.DEALLOCATION), reserve(), reserve()
    extended = reserve(7, account).model_copy(update={"partner_client_id": "", "notes": 'quote " and \\ and ü'})
    commands = [
        *(first, repeat(first), finish(first), repeat(first), finish(first, Verb.RELEASE)),
        *(back, repeat(back), finish(back), reserve(1, account, of=back.allocation_id)),
        *(finish(unknown), finish(ghost, Verb.RELEASE), ghost, finish(ghost), extended, finish(extended)),
    ]
    half = len(commands) // 2
    batches = [commands[:half], *[[command] for command in commands[half:]]]
    async with await opened(database_url) as listener:
        await listener.execute("SELECT listen_to_outcomes()")
        for batch in batches:
            await mine([log.append(command) for command in batch])
        notifications = [decode_notification(each.payload) async for each in listener.notifies(timeout=1)]
    announced = {
        (row["partition"], row["offset"]): outcome_row(row)
        for notification in notifications
        for row in notification.outcomes
    }
    assert {command.command_id for command in commands} == {row.command_id for row in announced.values()}
    assert await read(connection, list(announced)) == announced
    assert 8 <= len({(row.outcome, row.reason, row.status_after) for row in announced.values()})


async def read(connection: Connection, positions: list[tuple[int, int]]) -> dict[tuple[int, int], OutcomeRow]:
    asked = {"partitions": [each[0] for each in positions], "offsets": [each[1] for each in positions]}
    cursor = await connection.execute(statements("ingress.postgres")["outcomes"], asked)
    return {(row[0], row[1]): outcome_row(row[4], row[5]) for row in await cursor.fetchall()}


async def test_what_was_parked_is_read(mine: Applier, log: Log, database_url: str) -> None:
    """Its proof are its bytes."""
    async with await opened(database_url) as listener:
        await listener.execute("SELECT listen_to_outcomes()")
        await mine([log.append_raw(1, b"key", b"\x00")])
        [notification] = [decode_notification(each.payload) async for each in listener.notifies(timeout=1)]
    assert ({1: 1}, []) == (notification.next_offsets, notification.outcomes)


async def test_a_large_batch_tells_of_positions_only(mine: Applier, log: Log, database_url: str) -> None:
    async with await opened(database_url) as listener:
        await listener.execute("SELECT listen_to_outcomes()")
        await mine([log.append(reserve()) for _ in range(OUTCOMES_MAX + 1)])
        notifications = [decode_notification(each.payload) async for each in listener.notifies(timeout=1)]
    assert [[]] == [notification.outcomes for notification in notifications]
    assert OUTCOMES_MAX + 1 == sum(notifications[0].next_offsets.values())
