"""A platform's own policy in batches: recorded, asked of what it opens, and bounded."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from processor.apply import PLUGGED_SECONDS, Applier
from processor.domain.batch import Batch, Record, read
from processor.domain.journal import FIRST_HASH
from processor.domain.policy import OnFailure, PolicySettings
from processor.domain.rows import LoadedRows, Watermark
from processor.kafka.batcher import Batcher
from processor.plug.plug import Plug
from proof.log.replay import Recorded, replay
from schemas.commands import Reserve
from schemas.events import Facts, PlugFact
from schemas.policy import Facts as PlugFacts
from schemas.policy import Request
from schemas.words import Kind
from service.health import Health
from service.postgres import Connection
from tests.support.batches import PARTITIONS, Log, applier, finish, outcomes, reserve, rows
from tests.support.policy import VERSION

POLICY: Final = "tests.support.policy:decide"
RULES: Final = PolicySettings(plugged=True)
RESERVED: Final = ("applied", None, "reserved")
FAILED: Final = ("applied", "policy_failed", "rejected")


class Counted(Plug):
    """Notes of what it was asked."""

    def __init__(self, **settings: object) -> None:
        super().__init__(POLICY, **settings)  # type: ignore[arg-type]
        self.asked: list[str] = []

    def ask(self, request: Request, facts: PlugFacts) -> PlugFact:
        self.asked.append(request.allocation_id)
        return super().ask(request, facts)


@pytest.fixture
def plug() -> Iterator[Counted]:
    started = Counted()
    started.start()
    yield started
    started.close()


@pytest.fixture
def batches() -> list[Batch]:
    """Those that were committed."""
    return []


@pytest.fixture
async def mine(
    database_url: str,
    connection: Connection,  # noqa: ARG001 - prepares the tables
    plug: Counted,
    batches: list[Batch],
) -> AsyncIterator[Applier]:
    worker = applier(database_url, RULES, plug, batches.append)
    yield worker
    await worker.close()


def noted(notes: str | None, quantity: int = 5, kind: Kind = Kind.ALLOCATION) -> Reserve:
    return reserve(quantity, kind=kind).model_copy(update={"notes": notes})


async def test_its_verdict_reason_and_version_are_in_journal_and_event(
    mine: Applier, log: Log, database_url: str
) -> None:
    batch = await mine([log.append(noted(None)), log.append(noted("refuse"))])
    assert [RESERVED, ("applied", "not_today", "rejected")] == outcomes(batch)
    said = [row["plug"] for row in rows(database_url, "SELECT facts #> '{policy,plug}' AS plug FROM journal")]
    expected = [
        {"verdict": "approved", "version": VERSION},
        {"verdict": "rejected", "reason": "not_today", "version": VERSION},
    ]
    assert expected == sorted(said, key=lambda each: each["verdict"])
    [row] = rows(database_url, "SELECT rejection_reason FROM allocation WHERE status = 'rejected'")
    assert "not_today" == row["rejection_reason"]


async def test_it_is_asked_once_of_what_it_opens_and_of_nothing_else(mine: Applier, log: Log, plug: Counted) -> None:
    asked, back = noted(None), noted(None, kind=Kind.DEALLOCATION)
    records = [log.append(each) for each in (asked, asked, finish(asked), asked, back)]
    await mine(records)
    await mine(records)
    assert [asked.allocation_id, back.allocation_id] == plug.asked


async def test_given_a_balance_that_fails_then_its_approval_is_recorded_all_the_same(mine: Applier, log: Log) -> None:
    batch = await mine([log.append(noted(None, kind=Kind.DEALLOCATION))])
    assert [("applied", "insufficient_balance", "rejected")] == outcomes(batch)
    facts = Facts.model_validate(batch.journal[0][0].facts)
    assert facts.policy is not None
    assert PlugFact(verdict="approved", version=VERSION) == facts.policy.plug


@pytest.mark.parametrize("what", ["raise", "sleep", "loop", "exit", "os_exit", "none", "long", "lambda", "gigabyte"])
async def test_whatever_it_does_the_others_of_the_batch_get_their_verdict(
    mine: Applier, log: Log, what: str, batches: list[Batch]
) -> None:
    records = [log.append(noted(notes)) for notes in (None, what, None, what, None)]
    await mine(records)
    found = [each for batch in batches for each in outcomes(batch)]
    assert [RESERVED, FAILED, RESERVED, FAILED, RESERVED] == found


async def test_a_slow_policy_is_committed_in_parts_and_the_event_loop_does_not_wait(
    mine: Applier, log: Log, batches: list[Batch]
) -> None:
    longest, stop = 0.0, False

    async def beat() -> None:
        nonlocal longest
        while not stop:
            started = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - started)

    beating = asyncio.create_task(beat())
    await mine([log.append(noted("tenth")) for _ in range(30)])
    stop = True
    await beating
    assert 30 == sum(len(batch.journal) for batch in batches)
    assert len(batches) >= 3
    assert longest < PLUGGED_SECONDS / 2


async def test_nothing_is_decided_ahead(mine: Applier, log: Log, plug: Counted) -> None:
    await mine([log.append(noted(None))], [log.append(noted(None))])
    assert 1 == len(plug.asked)


async def test_a_replay_does_not_ask_it(mine: Applier, log: Log, batches: list[Batch], plug: Counted) -> None:
    records = [log.append(noted(notes)) for notes in (None, "refuse", "raise", None)]
    await mine(records)
    [batch] = batches
    calls = len(plug.asked)
    recorded = Recorded()
    again = Batch(LoadedRows({n: Watermark(0, FIRST_HASH) for n in range(PARTITIONS)}, {}, {}), recorded)
    for each, (row, _) in zip(records, batch.journal, strict=True):
        replay(again, recorded, read(each, PARTITIONS), Facts.model_validate(row.facts))
    assert batch.journal == again.journal
    assert calls == len(plug.asked)


async def never(_partition: int) -> None:
    raise AssertionError("nothing is to be read again")


async def test_given_that_the_batch_is_to_wait_then_readyz_says_it_and_it_goes_on_by_itself(
    database_url: str,
    connection: Connection,  # noqa: ARG001 - prepares the tables
    log: Log,
    tmp_path: Path,
    batches: list[Batch],
) -> None:
    file = tmp_path / "fails"
    file.touch()
    waits, health = Counted(on_failure=OnFailure.RETRY), Health()
    waits.start()
    worker = applier(database_url, RULES, waits, batches.append)
    batcher = Batcher("commands", worker, never, health)
    running = asyncio.create_task(batcher.run())
    records: list[Record] = [log.append(noted(None)), log.append(noted(str(file)))]
    await batcher.offer(records)
    async with asyncio.timeout(5):
        while len(waits.asked) < 6:
            await asyncio.sleep(0.05)
    assert batcher.waits_for_policy
    assert "the file is there" in health.problems["policy"]
    assert not list(batcher.halts)
    assert [] == batches
    file.unlink()
    async with asyncio.timeout(5):
        while not batches:
            await asyncio.sleep(0.05)
    assert [RESERVED, RESERVED] == outcomes(batches[0])
    assert {} == health.problems
    assert not batcher.waits_for_policy
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    waits.close()
    await worker.close()
