"""The rows that a worker's own last batches left: used when they are enough, never believed when they are not so."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor import metrics
from processor.apply import Applier, GapError
from processor.domain.batch import Record
from processor.postgres import row_cache
from schemas.commands import FINISHES, Command
from schemas.words import AfterFinal, Kind, Verb
from service.postgres import Connection
from tests.support.batches import (
    Log,
    applier,
    everything,
    finish,
    on,
    opened,
    outcomes,
    prepare,
    reserve,
    rows,
)
from tests.support.commands import NOON, stamps

Work = tuple[int, list[Record], list[Record]]
"""Which worker applies what, and what it is told will follow."""
RESERVED, CLEARED = ("applied", None, "reserved"), ("applied", None, "cleared")
ALREADY_CLEARED = ("refused", "already_cleared", "cleared")


async def one(worker: Applier, log: Log, command: Command) -> tuple[str, str | None, str | None]:
    [outcome] = outcomes(await worker([log.append(command)]))
    return outcome


async def test_what_was_written_last_is_not_loaded(
    mine: Applier, log: Log, loads: list[int], database_url: str
) -> None:
    account = str(uuid.uuid4())
    first, second, back = on(0, account), on(0, account), on(0, account, Kind.DEALLOCATION)
    await mine([log.append(each) for each in (first, finish(first))])
    assert [1] == loads
    release, third = finish(second, Verb.RELEASE), on(0, account)
    for command in (second, finish(second), finish(second), release, back, finish(back)):
        await mine([log.append(command)])
    await mine([log.append(each) for each in (third, finish(third))])
    assert ALREADY_CLEARED == await one(mine, log, release)
    assert [1] == loads
    assert [{"available": 10, "sequence": 5}] == rows(database_url, "SELECT available, sequence FROM account")


async def test_what_is_not_cached_is_loaded(mine: Applier, log: Log, loads: list[int]) -> None:
    """Another partition, an id that does not begin with a reserve, an account that was not seen."""
    account, late = str(uuid.uuid4()), on(0)
    await mine([log.append(on(0, account))])
    for commands in (
        [on(1, account)],
        [finish(on(0, account))],
        [finish(on(0, account), Verb.RELEASE)],
        [finish(late, Verb.RELEASE), late],
        [on(0, account, Kind.DEALLOCATION)],
    ):
        loads.clear()
        await mine([log.append(each) for each in commands])
        assert 1 == len(loads)


async def test_a_balance_that_another_worker_moved(mine: Applier, theirs: Applier, log: Log, database_url: str) -> None:
    """Once a clear was answered, a deallocation of that amount passes, whatever the partitions (section 2)."""
    account = str(uuid.uuid4())
    first, second = on(0, account), on(1, account)
    for worker, command in ((mine, first), (mine, finish(first)), (theirs, second), (theirs, finish(second))):
        await one(worker, log, command)
    assert RESERVED == await one(mine, log, on(0, account, Kind.DEALLOCATION, 10))
    assert [{"available": 0, "held": 10}] == rows(database_url, "SELECT available, held FROM account")


async def test_an_id_that_was_taken_for_new(mine: Applier, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reserved so long ago that it is forgotten: the same answers as if it were remembered."""
    monkeypatch.setattr(row_cache, "STATES_MAX", 1)
    asked = on(0)
    other_kind = on(0, kind=Kind.DEALLOCATION, of=asked.allocation_id)
    for command, outcome in (
        (asked, RESERVED),
        (asked.model_copy(update=stamps(asked.allocation_id)), ("repeated", None, "reserved")),
        (finish(asked), CLEARED),
        (asked.model_copy(update=stamps(asked.allocation_id)), ALREADY_CLEARED),
        (other_kind, ("refused", "id_in_use", "cleared")),
    ):
        assert outcome == await one(mine, log, command)
        await one(mine, log, on(0))


async def test_an_expired_reserve_of_an_id_that_was_taken_for_new(
    mine: Applier, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It inserts nothing that could collide, and its journal row names the state all the same."""
    monkeypatch.setattr(row_cache, "STATES_MAX", 1)
    asked = on(0)
    for command in (asked, on(0)):
        await one(mine, log, command)
    late = asked.model_copy(update=stamps(asked.allocation_id) | {"received_at": NOON, "deadline": NOON})
    assert ("refused", "expired", "reserved") == await one(mine, log, late)


@pytest.mark.parametrize("between", [0, 1])
async def test_a_partition_that_another_worker_had_meanwhile(
    mine: Applier, theirs: Applier, log: Log, between: int
) -> None:
    """Released here, opened again there: no version tells a refusal that the state is another one now."""
    asked = on(0)
    for command in (asked, finish(asked, Verb.RELEASE)):
        await one(mine, log, command)
    again = stamps(asked.allocation_id, NOON + timedelta(seconds=1)) | {"after_final": AfterFinal.REISSUE}
    assert RESERVED == await one(theirs, log, asked.model_copy(update=again))
    for _ in range(between):
        await one(mine, log, on(0))
    repeat = asked.model_copy(update=stamps(asked.allocation_id))
    assert ("repeated", None, "reserved") == await one(mine, log, repeat)


async def test_of_two_workers_that_remember_the_same_the_second_changes_nothing(
    mine: Applier, theirs: Applier, log: Log, database_url: str
) -> None:
    """A worker that has lost its partition and does not know: what it writes is not there."""
    asked = on(0)
    records = [log.append(each) for each in (asked, finish(asked))]
    for worker in (mine, theirs):
        await worker(records)
    for _ in range(20):
        asked = on(0)
        records = [log.append(each) for each in (asked, finish(asked))]
        batches = await asyncio.gather(mine(records), theirs(records))
        assert [0, 2] == sorted(len(batch.journal) for batch in batches)
    assert 21 == len(rows(database_url, "SELECT 1 FROM ledger"))


async def test_a_gap_is_not_jumped_by_the_cache(mine: Applier, log: Log) -> None:
    await mine([log.append(on(0))])
    log.append(on(0))
    with pytest.raises(GapError):
        await mine([log.append(on(0))])


async def test_the_cache_ends_with_the_connection(mine: Applier, log: Log, loads: list[int]) -> None:
    """Only a connection keeps a rebuild away."""
    await mine([log.append(on(0))])
    await mine([log.append(on(0))])
    assert 1 == len(loads)
    await mine.close()
    await mine([log.append(on(0))])
    assert 2 == len(loads)


async def test_a_cached_row_that_another_wrote_costs_one_load(
    mine: Applier, connection: Connection, log: Log, loads: list[int]
) -> None:
    asked = on(0)
    await mine([log.append(asked)])
    await connection.execute("UPDATE allocation SET notes = 'changed', version = version + 1")
    loads.clear()
    assert ("applied", None, "released") == await one(mine, log, finish(asked, Verb.RELEASE))
    assert 1 == len(loads)
    assert RESERVED == await one(mine, log, on(0))
    assert 1 == len(loads)


async def test_a_batch_with_a_dead_letter_needs_no_load(
    mine: Applier, log: Log, loads: list[int], database_url: str
) -> None:
    asked = on(0)
    await mine([log.append(asked)])
    letter = b"no command \\ \x00\xff"
    await mine([log.append_raw(0, b"k\xffy", letter), log.append(finish(asked, Verb.RELEASE))])
    assert 1 == len(loads)
    assert ["applied", "parked", "applied"] == [
        row["outcome"] for row in rows(database_url, 'SELECT outcome FROM journal ORDER BY "offset"')
    ]
    [row] = rows(database_url, "SELECT * FROM dead_letter")
    assert (1, b"k\xffy", letter) == (row["offset"], bytes(row["key"]), bytes(row["value"]))


async def test_a_balance_that_is_not_as_cached_is_loaded(mine: Applier, theirs: Applier, log: Log) -> None:
    """Decided on what is cached, a balance would fall below zero."""
    account = str(uuid.uuid4())
    first, second = on(0, account, quantity=5), on(1, account, quantity=5)
    mine_back, their_back = on(0, account, Kind.DEALLOCATION), on(1, account, Kind.DEALLOCATION)
    for worker, command in (
        *((mine, first), (mine, finish(first)), (mine, mine_back), (theirs, second), (theirs, finish(second))),
        *((theirs, their_back), (mine, finish(mine_back))),
    ):
        await one(worker, log, command)
    assert CLEARED == await one(theirs, log, finish(their_back))


async def test_the_cache_is_bounded(mine: Applier, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_cache, "STATES_MAX", 10)
    monkeypatch.setattr(row_cache, "ACCOUNTS_MAX", 3)
    for _ in range(20):
        asked = on(0)
        await mine([log.append(each) for each in (asked, finish(asked))])
    cache = mine._store._cache
    assert (10, 3) == (len(cache._states), len(cache._accounts))


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_how_a_log_is_cut_into_batches_does_not_matter(
    data: st.DataObject, servers: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, all at once, or anything between, by one worker or three in turns, some batches twice, some decided
    ahead and then applied, by the same worker or by another, or cut in another way: the same rows, the same hashes.
    """
    monkeypatch.setattr(row_cache, "STATES_MAX", data.draw(st.sampled_from([1, 2, 4096])))
    log, ids, account = Log(), [str(uuid.UUID(int=n)) for n in range(4)], str(uuid.UUID(int=99))
    commands = data.draw(
        st.lists(
            st.tuples(st.sampled_from(ids), st.sampled_from(Kind), st.sampled_from(Verb), st.integers(1, 3)),
            max_size=25,
        )
    )
    records = [
        log.append(reserve(quantity, account, kind, of) if verb is Verb.RESERVE else FINISHES[kind, verb](**stamps(of)))
        for of, kind, verb, quantity in commands
    ]
    pieces = data.draw(
        st.lists(
            st.tuples(st.integers(1, 5), st.integers(0, 2), st.booleans(), st.integers(0, 5)), min_size=25, max_size=25
        )
    )
    work: list[Work] = []
    remaining = list(records)
    for size, worker, twice, ahead in pieces:
        work += [(worker, remaining[:size], remaining[size : size + ahead])] * (1 + twice)
        remaining = remaining[size:]
    assert await _outcome(servers, template, work) == await _outcome(servers, template, [(0, records, [])])


async def _outcome(servers: Any, template: str, work: list[Work]) -> list[Any]:
    name = f"cut_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    url = servers.database_url(name)
    workers = [applier(url) for _ in range(3)]
    try:
        async with await opened(url) as connection:
            await prepare(connection)
        for worker, batch, following in work:
            if batch:
                await workers[worker](batch, following)
        return everything(url)
    finally:
        for each in workers:
            await each.close()
        servers.drop(name)


async def test_accounts_that_two_workers_share_are_loaded_instead_of_being_found_stale(
    mine: Applier, theirs: Applier, log: Log
) -> None:
    account = str(uuid.uuid4())
    before = metrics.OUTDATED._value.get()
    for _ in range(20):
        for partition, worker in ((0, mine), (1, theirs)):
            asked = on(partition, account)
            await worker([log.append(asked), log.append(finish(asked))])
    assert 2 >= metrics.OUTDATED._value.get() - before
