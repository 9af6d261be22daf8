"""Rebuilds one partition's rows up to its last event, from the events (decision 15).

An event has its decision's outcome and facts; a command without an event changed nothing. The machine is asked all the
same: where it and the event do not agree, the events are not those of these commands, and nothing is written.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from processor.domain.batch import Batch, Read, wanted
from processor.domain.journal import JournalRow
from processor.domain.rows import Wanted
from processor.domain.usage import usages_before
from processor.postgres import tables
from processor.relay.outbox import event_record
from proof.log.facts import recorded_facts
from proof.log.progress import Progress
from proof.log.replay import Recorded, account_before, replay
from proof.log.streams import Published, Stream, read_again
from proof.verify.published import Publications, record_differs
from schemas.events import Facts
from schemas.records import Position
from schemas.topics import Topics
from service.errors import OperatorError
from service.postgres import Connection

PART_RECORDS: Final = 500

_NO_EVENT: Final = "it changes something, and has no event while later ones have"
_DISAGREE: Final = "the events topic does not have the events of these commands, and nothing can be rebuilt from it"


class Refill:
    """One partition. `records` and `publications` begin where the partition's rows end."""

    def __init__(
        self,
        connection: Connection,
        topics: Topics,
        partition: int,
        partitions: int,
        records: Stream,
        publications: Publications,
    ) -> None:
        self._connection = connection
        self._topics = topics
        self._partition = partition
        self._partitions = partitions
        self._records = records
        self._publications = publications
        self._recorded = Recorded()

    async def run(self, start: int, beyond: int, progress: Progress) -> None:
        first = start
        while first < beyond:
            records = await self._records.before(min(first + PART_RECORDS, beyond))
            end = records[-1].offset + 1 if records else min(first + PART_RECORDS, beyond)
            await self._fill(records, first, end)
            progress.advance(end - first)
            first = end

    async def _fill(self, records: list[Published], first: int, beyond: int) -> None:
        """One commit."""
        events = await self._publications.before(beyond)
        reads = [read_again(record, self._partitions) for record in records]
        if [each.record.offset for each in reads] != list(range(first, beyond)):
            raise OperatorError(
                f"{self._topics.commands}/{self._partition} has not every record from offset {first} to {beyond - 1}: "
                "records were deleted. Restore the topic first"
            )
        facts = {offset: found for offset, event in events.items() if (found := recorded_facts(event, None))}
        loaded = await tables.load(self._connection, _with_those_of(facts.values(), wanted(reads)))
        if loaded.watermarks[self._partition].next_offset != first:
            raise OperatorError("somebody else has written to this database meanwhile: stop that, and start again")
        batch = Batch(loaded, self._recorded)
        for each in reads:
            self._add(batch, each, events.get(each.record.offset), facts.get(each.record.offset))
        await tables.commit(self._connection, batch)

    def _add(self, batch: Batch, each: Read, event: Published | None, facts: Facts | None) -> None:
        try:
            _replay_in_any_order(batch, self._recorded, each, facts)
        except ArithmeticError as error:
            words = str(error) if event else _NO_EVENT
        else:
            words = self._disagreement(*batch.journal[-1], event)
        if words:
            position = Position(self._topics.commands, self._partition, each.record.offset)
            raise OperatorError(f"{_DISAGREE}: {position}: {words}")

    def _disagreement(self, row: JournalRow, digest: bytes, event: Published | None) -> str:
        if row.event is None:
            return "" if event is None else "it has an event, and changes nothing"
        if event is None:
            return _NO_EVENT
        return record_differs(
            event,
            event_record(self._topics, self._partition, row.offset, row.subject_id or "", row.event, row.facts, digest),
        )


def _with_those_of(facts: Iterable[Facts], wanted: Wanted) -> Wanted:
    """With the accounts and sums that decisions found: what led to them may be on a partition that comes later."""
    facts = list(facts)
    accounts = {account_before(fact).key for each in facts for fact in each.all_accounts}
    platform = {each.platform_account.partners_connection_id for each in facts if each.platform_account}
    return replace(
        wanted,
        accounts=wanted.accounts | accounts,
        platform_accounts=wanted.platform_accounts | platform,
        usages=frozenset(usage.key for each in facts for usage in usages_before(each.usage)),
    )


def _replay_in_any_order(batch: Batch, recorded: Recorded, each: Read, facts: Facts | None) -> None:
    """Replay; of an account or a day's sum, what its latest decision left stays, in whatever order partitions come."""
    accounts = [account_before(fact).key for fact in facts.all_accounts] if facts else []
    latest = {key: batch.accounts[key] for key in accounts if key in batch.accounts}
    found = usages_before(facts.usage) if facts else ()
    sums = {usage.key: batch.usages[usage.key] for usage in found if usage.key in batch.usages}
    platform = facts.platform_account.partners_connection_id if facts and facts.platform_account else None
    latest_platform = batch.platform_accounts.get(platform) if platform else None
    replay(batch, recorded, each, facts)
    batch.accounts |= {key: last for key, last in latest.items() if last.sequence > batch.accounts[key].sequence}
    batch.usages |= {key: last for key, last in sums.items() if last.sequence > batch.usages[key].sequence}
    if platform and latest_platform and latest_platform.sequence > batch.platform_accounts[platform].sequence:
        batch.platform_accounts[platform] = latest_platform
