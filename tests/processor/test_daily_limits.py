"""Daily limits in the tables: never over, by the record's day, whoever applies what (contract, section 3)."""

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processor.apply import Applier
from processor.domain.batch import Batch, Read, Record, read, usages_of, wanted
from processor.domain.journal import FIRST_HASH
from processor.domain.policy import PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from processor.postgres.tables import OutdatedError
from proof.log.replay import Recorded, replay
from schemas.commands import Reserve
from schemas.events import Facts
from schemas.words import AfterFinal, Kind, Scope, Verb
from service.postgres import Connection
from tests.support.batches import (
    Log,
    applier,
    commit,
    decided,
    everything,
    finish,
    on,
    outcomes,
    reserve,
    rows,
)
from tests.support.commands import NOON

LIMITS: Final = PolicySettings(client_daily_limits={"BTC": 100}, connection_daily_limits={"BTC": 100})
CLIENT_ONLY: Final = PolicySettings(client_daily_limits={"BTC": 100})
MIDNIGHT: Final = datetime(2026, 11, 22, tzinfo=UTC)
RESERVED: Final = ("applied", None, "reserved")
EXCEEDED: Final = ("applied", "limit_exceeded", "rejected")
A_CLIENT: Final = "11111111-1111-4111-8111-111111111111"
SUMS: Final = "SELECT scope, id::text, kind, day, sequence, total FROM daily_usage ORDER BY scope, id, kind, day"


@pytest.fixture
async def mine(database_url: str, connection: Connection) -> AsyncIterator[Applier]:  # noqa: ARG001 - prepares the tables
    worker = applier(database_url, CLIENT_ONLY)
    yield worker
    await worker.close()


@pytest.fixture
async def theirs(database_url: str, connection: Connection) -> AsyncIterator[Applier]:  # noqa: ARG001 - prepares the tables
    worker = applier(database_url, CLIENT_ONLY)
    yield worker
    await worker.close()


def asked_at(command: Reserve, at: datetime) -> Reserve:
    return command.model_copy(update={"received_at": at, "deadline": at + timedelta(seconds=15)})


def found(database_url: str) -> list[tuple[int, int]]:
    return [(row["sequence"], int(row["total"])) for row in rows(database_url, SUMS)]


async def test_given_a_limit_then_the_sum_reaches_it_and_not_beyond(mine: Applier, log: Log, database_url: str) -> None:
    """A release gives nothing back, a repeat counts nothing, and what was rejected counts nothing."""
    first, second, over = (reserve(each, client=A_CLIENT) for each in (60, 40, 1))
    asked = [first, second, first, over, finish(first, Verb.RELEASE), reserve(1, client=A_CLIENT)]
    batch = await mine([log.append(each) for each in asked])
    assert [RESERVED, RESERVED, ("repeated", None, "reserved"), EXCEEDED] == outcomes(batch)[:4]
    assert EXCEEDED == outcomes(batch)[5]
    assert [(4, 100)] == found(database_url)


async def test_given_both_kinds_then_each_has_the_limit_for_itself(mine: Applier, log: Log, database_url: str) -> None:
    account = str(uuid.uuid4())
    into, back = reserve(100, account, client=A_CLIENT), reserve(100, account, Kind.DEALLOCATION, client=A_CLIENT)
    batch = await mine([log.append(each) for each in (into, finish(into), back)])
    assert [RESERVED, RESERVED] == [outcomes(batch)[0], outcomes(batch)[2]]
    assert [(1, 100), (1, 100)] == found(database_url)


async def test_given_a_reserve_for_which_the_balance_fails_then_it_counts_nothing(
    mine: Applier, log: Log, database_url: str
) -> None:
    batch = await mine([log.append(reserve(100, kind=Kind.DEALLOCATION, client=A_CLIENT))])
    assert [("applied", "insufficient_balance", "rejected")] == outcomes(batch)
    assert [(1, 0)] == found(database_url)


async def test_given_a_reissue_then_it_counts_again(mine: Applier, log: Log, database_url: str) -> None:
    first = reserve(60, client=A_CLIENT)
    again = first.model_copy(
        update={
            "command_id": str(uuid.uuid4()),
            "after_final": AfterFinal.REISSUE,
            "received_at": NOON + timedelta(seconds=1),
        }
    )
    batch = await mine([log.append(each) for each in (first, finish(first, Verb.RELEASE), again)])
    assert EXCEEDED == outcomes(batch)[2]
    assert [(2, 60)] == found(database_url)


async def test_given_a_batch_that_spans_midnight_then_each_record_counts_on_its_own_day(
    mine: Applier, log: Log, database_url: str
) -> None:
    """By the record's time, in UTC, and not by today's clock; also when a leader's clock is behind."""
    millisecond = timedelta(milliseconds=1)
    times = [MIDNIGHT - millisecond, MIDNIGHT, MIDNIGHT + millisecond, MIDNIGHT - 2 * millisecond]
    asked = [asked_at(on(0, quantity=60, client=A_CLIENT), at) for at in times]
    batch = await mine([log.append(each, at) for each, at in zip(asked, times, strict=True)])
    assert [RESERVED, RESERVED, EXCEEDED, EXCEEDED] == outcomes(batch)
    days = {row["day"]: (row["sequence"], int(row["total"])) for row in rows(database_url, SUMS)}
    assert {date(2026, 11, 21): (2, 60), date(2026, 11, 22): (2, 60)} == days


async def test_given_no_limit_then_no_sum_is_kept(database_url: str, connection: Connection, log: Log) -> None:
    await commit(connection, await decided(connection, [log.append(reserve())]))
    assert [] == rows(database_url, SUMS)


async def test_a_decision_on_a_sum_that_another_moved_is_decided_again(
    mine: Applier, connection: Connection, log: Log, database_url: str
) -> None:
    await mine([log.append(on(0, quantity=50, client=A_CLIENT))])
    outdated = await decided(connection, [log.append(on(1, quantity=50, client=A_CLIENT))], policy=CLIENT_ONLY)
    await mine([log.append(on(2, quantity=50, client=A_CLIENT))])
    with pytest.raises(OutdatedError):
        await commit(connection, outdated)
    assert [(2, 100)] == found(database_url)


async def test_a_first_sum_that_another_wrote_too_is_decided_again(
    mine: Applier, connection: Connection, log: Log, database_url: str
) -> None:
    outdated = await decided(connection, [log.append(on(1, quantity=60, client=A_CLIENT))], policy=CLIENT_ONLY)
    await mine([log.append(on(2, quantity=60, client=A_CLIENT))])
    with pytest.raises(OutdatedError):
        await commit(connection, outdated)
    assert [(1, 60)] == found(database_url)


async def test_two_processors_on_one_client_s_limit_are_never_over_it(
    mine: Applier, theirs: Applier, log: Log, database_url: str
) -> None:
    """Each asks for 3 at a time, on partitions of its own: 33 pass, whoever is first."""
    own, other = ([on(number, quantity=3, client=A_CLIENT) for _ in range(40)] for number in (0, 1))
    for first, second in zip(own, other, strict=True):
        await asyncio.gather(mine([log.append(first)]), theirs([log.append(second)]))
    reserved = rows(database_url, "SELECT quantity FROM allocation WHERE status = 'reserved'")
    assert 33 == len(reserved)
    assert [(80, 99)] == found(database_url)


async def test_what_was_counted_last_is_not_loaded(mine: Applier, log: Log, loads: list[int]) -> None:
    for _ in range(3):
        await mine([log.append(on(0, client=A_CLIENT))])
    assert [1] == loads


async def test_the_facts_of_a_day_lead_to_the_same_rows_under_no_limit(
    mine: Applier, log: Log, database_url: str
) -> None:
    """A replay takes the recorded facts, whatever is configured today."""
    times = [MIDNIGHT - timedelta(milliseconds=1), MIDNIGHT, MIDNIGHT]
    asked = [asked_at(on(0, quantity=60, client=A_CLIENT), at) for at in times]
    records = [log.append(each, at) for each, at in zip(asked, times, strict=True)]
    batch = await mine(records)
    again, _ = replayed(records, batch)
    assert batch.journal == again.journal
    assert batch.usages == again.usages
    assert len(everything(database_url)[-1]) == len(again.usages)


def replayed(records: list[Record], batch: Batch) -> tuple[Batch, list[Read]]:
    recorded, reads = Recorded(), [read(each, 4) for each in records]
    again = Batch(LoadedRows({n: Watermark(0, FIRST_HASH) for n in range(4)}, {}, {}), recorded)
    for each, (row, _) in zip(reads, batch.journal, strict=True):
        replay(again, recorded, each, Facts.model_validate(row.facts) if row.facts else None)
    return again, reads


CLIENTS: Final = [str(uuid.UUID(int=n)) for n in (1, 2)]
CONNECTIONS: Final = [str(uuid.UUID(int=n)) for n in (3, 4)]
asks = st.tuples(
    st.sampled_from(CLIENTS), st.sampled_from(CONNECTIONS), st.integers(1, 70), st.integers(-2, 2), st.booleans()
)


@pytest.mark.slow
@given(st.lists(asks, max_size=30))
def test_whatever_is_asked_then_sums_are_those_of_a_model_and_never_over(
    asked: list[tuple[str, str, int, int, bool]],
) -> None:
    """The model: a sum by owner and day; a reserve passes when both of its sums stay within the limit."""
    model: dict[tuple[str, date], int] = defaultdict(int)
    log, records, expected = Log(), [], []
    for client, owner, quantity, hours, releases in asked:
        at = MIDNIGHT + timedelta(hours=hours)
        command = asked_at(reserve(quantity, owner, client=client), at)
        passes = all(model[each, at.date()] + quantity <= 100 for each in (client, owner))
        for each in (client, owner) if passes else ():
            model[each, at.date()] += quantity
        expected.append("reserved" if passes else "rejected")
        records.append(log.append(command, at))
        if releases:
            records.append(log.append(finish(command, Verb.RELEASE), NOON))
    reads = [read(each, 4) for each in records]
    batch = Batch(LoadedRows({n: Watermark(0, FIRST_HASH) for n in range(4)}, {}, {}), LIMITS)
    for each in reads:
        batch.add(each)
    opened = [row.status_after for row, _ in batch.journal if row.verb == "reserve"]
    sums = {(key.id, key.day): usage.total for key, usage in batch.usages.items() if usage.total}
    assert expected == opened
    assert {key: total for key, total in model.items() if total} == sums
    assert all(usage.total <= 100 for usage in batch.usages.values())
    assert batch.usages.keys() <= wanted(reads, usages=usages_of(reads, LIMITS)).usages
    again, _ = replayed(records, batch)
    assert batch.journal == again.journal
    assert batch.usages == again.usages
    assert {Scope.CLIENT, Scope.CONNECTION} >= {key.scope for key in batch.usages}
