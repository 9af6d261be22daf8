"""Several workers on one database: nobody does another's work again, or decides on what another is about to change."""

import asyncio
import uuid
from collections.abc import Iterator
from itertools import count, islice, repeat

import pytest

from processor.apply import Applier
from processor.postgres.tables import OutdatedError
from service.postgres import Connection
from tests.support.batches import Log, commit, decided, finish, on, opened, outcomes, reserve, rows


async def test_of_two_workers_on_one_partition_the_second_finds_the_work_done(
    mine: Applier, theirs: Applier, database_url: str, log: Log
) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked))]
    batches = await asyncio.gather(mine(records), theirs(records))
    assert [0, 2] == sorted(len(batch.journal) for batch in batches)
    assert 1 == len(rows(database_url, "SELECT * FROM ledger"))


async def test_a_batch_that_was_decided_before_another_committed_is_decided_again(
    mine: Applier, connection: Connection, log: Log
) -> None:
    asked = reserve()
    first, second = log.append(asked), log.append(finish(asked))
    outdated = await decided(connection, [first])
    await mine([first])
    with pytest.raises(OutdatedError):
        await commit(connection, outdated)
    assert [("applied", None, "cleared")] == outcomes(await mine([second]))


async def meet_a_hundred_times(mine: Applier, theirs: Applier, log: Log, accounts: Iterator[str]) -> None:
    """Two workers clear an allocation each at once, on two partitions and one account."""
    for account in islice(accounts, 100):
        first, second = on(0, account), on(1, account)
        own = [log.append(first), log.append(finish(first))]
        other = [log.append(second), log.append(finish(second))]
        await asyncio.gather(mine(own), theirs(other))


async def test_two_workers_meet_on_a_new_account_a_hundred_times(
    mine: Applier, theirs: Applier, database_url: str, log: Log
) -> None:
    """The first clears of one new account at once: sums exact, no deadlock."""
    await meet_a_hundred_times(mine, theirs, log, (str(uuid.uuid4()) for _ in count()))
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 10, "held": 0, "sequence": 2}] * 100 == found


async def test_two_workers_meet_on_one_account_a_hundred_times(
    mine: Applier, theirs: Applier, database_url: str, log: Log
) -> None:
    """Nobody decides on a balance that the other is about to change."""
    await meet_a_hundred_times(mine, theirs, log, repeat(str(uuid.uuid4())))
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 1000, "held": 0, "sequence": 200}] == found


async def test_of_two_workers_that_never_rest_on_one_account_neither_starves(
    mine: Applier, theirs: Applier, log: Log
) -> None:
    """The one that missed loads before it decides, the other need not: shares of 1 to 7 were seen, and are no fault."""
    account, end = str(uuid.uuid4()), asyncio.get_running_loop().time() + 3
    applied = [0, 0]

    async def work(number: int, worker: Applier) -> None:
        while asyncio.get_running_loop().time() < end:
            asked = on(number, account)
            applied[number] += len((await worker([log.append(asked), log.append(finish(asked))])).journal)

    await asyncio.gather(work(0, mine), work(1, theirs))
    assert min(applied) >= 10, applied


async def test_accounts_of_two_currencies_are_locked_in_one_order_by_all(
    mine: Applier, theirs: Applier, database_url: str, log: Log
) -> None:
    """A linguistic collation has `aave` before `BTC`, code points have it behind: a deadlock, were both in use."""
    account = str(uuid.uuid4())

    def both(partition: int, currencies: tuple[str, str]) -> list:  # type: ignore[type-arg]
        asked = [on(partition, account, currency=currency) for currency in currencies]
        return [log.append(each) for each in [*asked, *map(finish, asked)]]

    for _ in range(50):
        await asyncio.gather(mine(both(0, ("aave", "BTC"))), theirs(both(1, ("BTC", "aave"))))
    found = rows(database_url, "SELECT currency, available, sequence FROM account ORDER BY currency")
    assert [(500, 100)] * 2 == [(row["available"], row["sequence"]) for row in found]
    [row] = rows(database_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert 0 == row["deadlocks"]


async def test_an_account_that_appears_meanwhile_is_looked_up_again(
    mine: Applier, database_url: str, connection: Connection, log: Log
) -> None:
    account = str(uuid.uuid4())
    first, second = on(0, account), on(1, account)
    records = [log.append(each) for each in (first, finish(first))]
    batch = await decided(connection, records)
    assert 2 == len((await mine([log.append(second), log.append(finish(second))])).journal)
    with pytest.raises(OutdatedError):
        await commit(connection, batch)
    assert 2 == len((await mine(records)).journal)
    assert [{"available": 10, "sequence": 2}] == rows(database_url, "SELECT available, sequence FROM account")


async def test_a_worker_that_waits_for_a_lock_keeps_nobody_else_waiting(
    mine: Applier, theirs: Applier, database_url: str, log: Log
) -> None:
    """Somebody holds one account; the batches of other accounts go on."""
    account = str(uuid.uuid4())
    asked = on(0, account)
    await mine([log.append(asked), log.append(finish(asked))])
    async with await opened(database_url) as holder, holder.transaction():
        await holder.execute("SELECT FROM account FOR UPDATE")
        again = on(0, account)
        waiting = asyncio.create_task(mine([log.append(again), log.append(finish(again))]))
        await asyncio.sleep(0.2)
        assert 1 == len((await theirs([log.append(on(1))])).journal)
        assert not waiting.done()
    assert 2 == len((await waiting).journal)
