"""What a worker remembers of the tables: used when it is enough, and never believed when it is not so (record 0013)."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processor import recent
from processor.apply import Applier, GapError
from processor.batch import Batch, Record
from processor.recent import FIRST_REST, LONGEST_REST, Recent
from processor.store import Connection, OutdatedError
from schemas.commands import FINISHES, Command
from schemas.words import AfterFinal, Kind, Verb
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
    run,
)
from tests.support.commands import NOON, stamps

Work = tuple[int, list[Record], list[Record]]
"""Which worker applies what, and what it is told will follow."""
RESERVED, CLEARED = ("applied", None, "reserved"), ("applied", None, "cleared")
ALREADY_CLEARED = ("refused", "already_cleared", "cleared")


@pytest.fixture
async def theirs(database_url: str) -> AsyncIterator[Applier]:
    worker = applier(database_url)
    yield worker
    await worker.close()


async def one(worker: Applier, log: Log, command: Command) -> tuple[str, str | None, str | None]:
    [outcome] = outcomes(await worker([log.append(command)]))
    return outcome


async def test_what_was_written_last_is_not_loaded(connection: Connection, log: Log, database_url: str) -> None:
    memory, account = Recent(), str(uuid.uuid4())
    first, second, back = on(0, account), on(0, account), on(0, account, Kind.DEALLOCATION)
    loaded = await run(connection, [log.append(each) for each in (first, finish(first))], memory)
    assert loaded.loaded.locked
    release = finish(second, Verb.RELEASE)
    for command in (second, finish(second), finish(second), release, back, finish(back)):
        batch = await run(connection, [log.append(command)], memory)
        assert not batch.loaded.locked, command.verb
    third = on(0, account)
    assert not (await run(connection, [log.append(each) for each in (third, finish(third))], memory)).loaded.locked
    assert [("refused", "already_cleared", "cleared")] == outcomes(await run(connection, [log.append(release)], memory))
    assert [{"available": 10, "sequence": 5}] == rows(database_url, "SELECT available, sequence FROM account")


async def test_what_is_not_remembered_is_loaded(connection: Connection, log: Log) -> None:
    """Another partition, an id that does not begin with a reserve, an account that was not seen."""
    memory, account, late = Recent(), str(uuid.uuid4()), on(0)
    await run(connection, [log.append(on(0, account))], memory)
    for commands in (
        [on(1, account)],
        [finish(on(0, account))],
        [finish(on(0, account), Verb.RELEASE)],
        [finish(late, Verb.RELEASE), late],
        [on(0, account, Kind.DEALLOCATION)],
    ):
        assert (await run(connection, [log.append(each) for each in commands], memory)).loaded.locked


async def test_a_balance_that_another_worker_moved(mine: Applier, theirs: Applier, log: Log, database_url: str) -> None:
    """Once a clear was answered, a deallocation of that amount passes, whatever the partitions (section 2)."""
    account = str(uuid.uuid4())
    first, second = on(0, account), on(1, account)
    for worker, command in ((mine, first), (mine, finish(first)), (theirs, second), (theirs, finish(second))):
        await one(worker, log, command)
    assert RESERVED == await one(mine, log, on(0, account, Kind.DEALLOCATION, 10))
    assert [{"available": 0, "held": 10}] == rows(database_url, "SELECT available, held FROM account")
    assert (await mine([log.append(on(0))])).loaded.locked, "others work on its accounts: it loads for a while"
    await mine.close()
    await theirs.close()


async def test_an_id_that_was_taken_for_new(mine: Applier, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reserved so long ago that it is forgotten: the same answers as if it were remembered."""
    monkeypatch.setattr(recent, "STATES_MAX", 1)
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
        for _ in range(FIRST_REST + 1):
            await one(mine, log, on(0))


async def test_an_expired_reserve_of_an_id_that_was_taken_for_new(
    mine: Applier, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It inserts nothing that could collide, and its journal row names the state all the same."""
    monkeypatch.setattr(recent, "STATES_MAX", 1)
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


async def test_a_gap_is_not_jumped_by_memory(connection: Connection, log: Log) -> None:
    memory = Recent()
    await run(connection, [log.append(on(0))], memory)
    log.append(on(0))
    with pytest.raises(GapError):
        await run(connection, [log.append(on(0))], memory)


async def test_memory_ends_with_the_connection(mine: Applier, log: Log) -> None:
    """Only a connection keeps a rebuild away."""
    await mine([log.append(on(0))])
    assert not (await mine([log.append(on(0))])).loaded.locked
    await mine.close()
    assert (await mine([log.append(on(0))])).loaded.locked


async def test_after_a_miss_batches_load_for_a_while(connection: Connection, log: Log) -> None:
    """And for longer when the next miss comes soon: a round trip in vain, and a connection, are lost at each."""
    memory = Recent()

    async def loads() -> int:
        batches: list[Batch] = []
        while not batches or batches[-1].loaded.locked:
            batches.append(await run(connection, [log.append(on(0))], memory))
        return len(batches) - 1

    await run(connection, [log.append(on(0))], memory)
    assert 0 == await loads()
    for rest in (FIRST_REST, 2 * FIRST_REST, 4 * FIRST_REST):
        memory.missed()
        assert rest == await loads()
    for _ in range(4 * FIRST_REST):
        assert 0 == await loads()
    memory.missed()
    assert FIRST_REST == await loads()
    for _ in range(20):
        memory.missed()
    assert LONGEST_REST == memory._rest


async def test_a_miss_is_told_before_anything_is_written(connection: Connection, log: Log, database_url: str) -> None:
    memory, asked = Recent(), on(0)
    await run(connection, [log.append(asked)], memory)
    await connection.execute("UPDATE allocation SET version = version + 1")
    before = everything(database_url)
    with pytest.raises(OutdatedError):
        await run(connection, [log.append(finish(asked, Verb.RELEASE))], memory)
    await connection.close()
    assert before == everything(database_url)


async def test_a_batch_with_dead_letters_is_loaded(connection: Connection, log: Log, database_url: str) -> None:
    """They may be too large for one call."""
    memory, asked = Recent(), on(0)
    await run(connection, [log.append(asked)], memory)
    records = [log.append_raw(0, b"key", b"no command"), log.append(finish(asked, Verb.RELEASE))]
    batch = await run(connection, records, memory)
    assert batch.loaded.locked
    assert ["applied", "parked", "applied"] == [
        row["outcome"] for row in rows(database_url, 'SELECT outcome FROM journal ORDER BY "offset"')
    ]
    assert [1] == [row["offset"] for row in rows(database_url, 'SELECT "offset" FROM dead_letter')]


async def test_memory_is_bounded(connection: Connection, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "STATES_MAX", 10)
    monkeypatch.setattr(recent, "ACCOUNTS_MAX", 3)
    memory = Recent()
    for _ in range(20):
        asked = on(0)
        await run(connection, [log.append(each) for each in (asked, finish(asked))], memory)
    assert (10, 3) == (len(memory._states), len(memory._accounts))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_how_a_log_is_cut_into_batches_does_not_matter(
    data: st.DataObject, servers: Any, template: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one, all at once, or anything between, by one worker or three in turns, some batches twice, some decided
    ahead and then applied, by the same worker or by another, or cut in another way: the same rows, the same hashes.
    """
    monkeypatch.setattr(recent, "STATES_MAX", data.draw(st.sampled_from([1, 2, 4096])))
    monkeypatch.setattr(recent, "FIRST_REST", 1)
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
