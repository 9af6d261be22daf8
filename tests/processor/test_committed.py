"""What a processor has committed is not decided otherwise, after a failover has taken it from the tables."""

from collections.abc import Sequence

import psycopg
import pytest

from processor.apply import Applier
from processor.committed import ContradictionError
from processor.domain.batch import Record
from schemas.words import Kind, Verb
from service.postgres import Connection
from tests.support.batches import Log, finish, on, outcomes, prepare

ACCOUNT = "0e3c5e0c-3f9e-4f0e-8f0a-6d6c8f1b6f11"
RESERVED = [("applied", None, "reserved")]
REJECTED = [("applied", "insufficient_balance", "rejected")]


async def funded(worker: Applier, log: Log, quantity: int = 10) -> list[Record]:
    """An account that has so much; the records that gave it."""
    funds = on(0, ACCOUNT, quantity=quantity)
    records = [log.append(funds), log.append(finish(funds, Verb.CLEAR))]
    await worker(records)
    return records


def withdrawal(log: Log, partition: int) -> Record:
    """Of all that the account has."""
    return log.append(on(partition, ACCOUNT, Kind.DEALLOCATION, 10))


async def lose_everything(connection: Connection) -> None:
    """As a standby that had nothing yet."""
    await connection.execute(
        "TRUNCATE watermark, journal, allocation, account, ledger, dead_letter, platform_account, connection"
    )
    await prepare(connection)
    with pytest.raises(psycopg.errors.AdminShutdown):
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
        )


async def again(worker: Applier, records: Sequence[Record]) -> list[tuple[str, str | None, str | None]]:
    """A batch, on a new connection if the one that there was is gone."""
    try:
        return outcomes(await worker(records))
    except psycopg.OperationalError:
        return outcomes(await worker(records))


async def test_given_lost_commits_then_an_order_that_would_contradict_them_waits_for_the_other(
    mine: Applier, connection: Connection, log: Log
) -> None:
    funds = await funded(mine, log)
    first, second = withdrawal(log, 2), withdrawal(log, 1)
    assert RESERVED == outcomes(await mine([first]))
    assert REJECTED == outcomes(await mine([second]))
    await lose_everything(connection)
    await again(mine, funds)
    with pytest.raises(ContradictionError, match="offset 0 of partition 1"):
        await mine([second])
    assert RESERVED == outcomes(await mine([first]))
    assert REJECTED == outcomes(await mine([second]))


async def test_given_a_contradiction_inside_of_a_batch_then_nothing_of_the_batch_is_written(
    mine: Applier, connection: Connection, log: Log
) -> None:
    funds = await funded(mine, log)
    first, second, later = withdrawal(log, 2), withdrawal(log, 1), log.append(on(1))
    for record in (first, second, later):
        await mine([record])
    await lose_everything(connection)
    await again(mine, funds)
    with pytest.raises(ContradictionError):
        await mine([second, later])
    assert {0: 2, 1: 1 + 1, 2: 1} == mine.written.next_offsets()
    assert RESERVED == outcomes(await mine([first]))
    assert [*REJECTED, *RESERVED] == outcomes(await mine([second, later]))


async def test_given_another_process_that_had_nothing_to_keep_to_then_it_decides_as_it_finds_things(
    mine: Applier, theirs: Applier, connection: Connection, log: Log
) -> None:
    funds = await funded(mine, log)
    first, second = withdrawal(log, 2), withdrawal(log, 1)
    await mine([first])
    await mine([second])
    await lose_everything(connection)
    assert 2 == len(await again(theirs, funds))
    assert RESERVED == outcomes(await theirs([second]))


async def test_given_rows_that_others_have_written_in_between_then_only_what_follows_is_kept_to(
    mine: Applier, theirs: Applier, log: Log
) -> None:
    records = [log.append(on(1)) for _ in range(3)]
    await mine(records[:1])
    await theirs(records[1:2])
    await mine(records[1:])
    assert {1: 3} == mine.written.next_offsets()
    assert {1: 2} == theirs.written.next_offsets()


async def test_given_a_contradiction_behind_a_row_that_came_out_as_before_then_it_is_not_written_either(
    mine: Applier, connection: Connection, log: Log
) -> None:
    """What is decided again comes in other batches than before, or record by record."""
    funds = await funded(mine, log)
    neutral, first, second = log.append(on(1)), withdrawal(log, 2), withdrawal(log, 1)
    for record in (neutral, first, second):
        await mine([record])
    await lose_everything(connection)
    await again(mine, funds)
    await mine([neutral])
    with pytest.raises(ContradictionError, match="offset 1 of partition 1"):
        await mine([second])
    assert RESERVED == outcomes(await mine([first]))
    assert REJECTED == outcomes(await mine([second]))
