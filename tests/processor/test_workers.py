"""Several workers on one database: nobody does another's work again, or decides on what another is about to change."""

import asyncio
import uuid
from collections.abc import Iterator
from itertools import count, islice, repeat

import pytest

from processor import recent, store
from processor.batch import Batch, read, wanted
from processor.store import Connection, NewAccountError
from tests.support.batches import NO_RULES, PARTITIONS, Log, applier, finish, on, opened, reserve, rows, run


async def test_of_two_workers_on_one_partition_the_second_finds_the_work_done(
    database_url: str, connection: Connection, log: Log
) -> None:
    asked = reserve()
    records = [log.append(asked), log.append(finish(asked))]
    async with await opened(database_url) as other:
        batches = await asyncio.gather(run(connection, records), run(other, records))
    assert [0, 2] == sorted(len(batch.journal) for batch in batches)
    assert 1 == len(rows(database_url, "SELECT * FROM ledger"))


async def test_a_batch_sees_what_was_committed_while_it_waited(
    database_url: str, connection: Connection, log: Log
) -> None:
    """The lock is a statement of its own: what is read after it is not older than it."""
    asked = reserve()
    first, second = read(log.append(asked), PARTITIONS), log.append(finish(asked))
    async with await opened(database_url) as other:
        batch = Batch(await store.begin(other, wanted([first])), NO_RULES)
        batch.add(first)
        waiting = asyncio.create_task(run(connection, [second]))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await store.save(other, batch)
    assert [("applied", "cleared")] == [(row.outcome, row.status_after) for row, _ in (await waiting).journal]


async def meet_a_hundred_times(database_url: str, log: Log, accounts: Iterator[str]) -> None:
    """Two workers clear an allocation each at once, on two partitions and one account."""
    one, other = applier(database_url), applier(database_url)
    for account in islice(accounts, 100):
        mine, theirs = on(0, account), on(1, account)
        first = [log.append(mine), log.append(finish(mine))]
        second = [log.append(theirs), log.append(finish(theirs))]
        await asyncio.gather(one(first), other(second))
    for each in (one, other):
        await each.close()


@pytest.mark.usefixtures("connection")
async def test_two_workers_meet_on_a_new_account_a_hundred_times(database_url: str, log: Log) -> None:
    """The first clears of one new account at once: sums exact, nobody waits in a circle."""
    await meet_a_hundred_times(database_url, log, (str(uuid.uuid4()) for _ in count()))
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 10, "held": 0, "sequence": 2}] * 100 == found


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("rest", [recent.FIRST_REST, 0])
async def test_two_workers_meet_on_one_account_a_hundred_times(
    database_url: str, log: Log, monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    """Nobody decides on a balance that the other is about to change, though neither ever rests from remembering it."""
    monkeypatch.setattr(recent, "FIRST_REST", rest)
    monkeypatch.setattr(recent, "LONGEST_REST", rest)
    await meet_a_hundred_times(database_url, log, repeat(str(uuid.uuid4())))
    found = rows(database_url, "SELECT available, held, sequence FROM account")
    assert [{"available": 1000, "held": 0, "sequence": 200}] == found


async def test_an_account_that_appears_meanwhile_is_looked_up_again(
    database_url: str, connection: Connection, log: Log
) -> None:
    account = str(uuid.uuid4())
    mine, theirs = on(0, account), on(1, account)
    first = [read(log.append(each), PARTITIONS) for each in (mine, finish(mine))]
    second = [log.append(theirs), log.append(finish(theirs))]
    other = applier(database_url)
    batch = Batch(await store.begin(connection, wanted(first)), NO_RULES)
    for each in first:
        batch.add(each)
    assert 2 == len((await other(second)).journal)
    with pytest.raises(NewAccountError):
        await store.save(connection, batch)
    await connection.close()
    assert 2 == len((await other([each.record for each in first])).journal)
    await other.close()
    assert [{"available": 10, "sequence": 2}] == rows(database_url, "SELECT available, sequence FROM account")
