"""Walks one allocation's records with the model beside it: journal, events and rows must be what the model makes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise

from tests.checker.cluster import Cluster, Record
from tests.checker.findings import Verdict
from tests.checker.model import GONE, State, Step, step

Said = tuple[Verdict, str]


def walk(cluster: Cluster, limits: Mapping[str, int]) -> Iterator[Said]:
    """Fill in `cluster.steps`. It stops at the first record whose journal row is not the model's."""
    state: State | None = None
    for record in cluster.records:
        made = step(state, record.order, _rejection(record, limits))
        if (fault := _journal_fault(record, made)) is not None:
            yield fault
            return
        cluster.steps.append(made)
        state = made.after
    yield from _repeated_commands(cluster)
    yield from _row_faults(cluster)
    yield from _event_faults(cluster)


def _rejection(record: Record, limits: Mapping[str, int]) -> str | None:
    """What policy says, from the balance that the journal says it found; `accounts` checks that balance."""
    if record.verb != "reserve":
        return None
    currency, quantity = record.content.split("|")[:2]
    if int(quantity) > limits.get(currency, int(quantity)):
        return "limit_exceeded"
    if record.kind == "deallocation" and record.available is not None and int(record.available) < int(quantity):
        return "insufficient_balance"
    return None


def _journal_fault(record: Record, made: Step) -> Said | None:
    at = f"{record.verb} at {record.partition}/{record.offset}"
    if record.outcome is None:
        return Verdict.LOST, f"{at} is in the log and not in the journal"
    if record.journaled_id != record.command_id:
        return Verdict.CONTRADICTION, f"{at} is command {record.command_id}, in the journal {record.journaled_id}"
    after = made.after
    reason = made.refusal or (after.rejection if after and after.status == "rejected" else None)
    expected = (made.outcome, reason, after.status if after else None, after.version if after else None)
    found = (record.outcome, record.reason, record.status, record.version)
    if found == expected:
        return None
    doubled = found[0] == "applied" and made.outcome == "repeated"
    return (
        Verdict.TWICE if doubled else Verdict.CONTRADICTION,
        f"{at} is {found} in the journal, and should be {expected}",
    )


def _repeated_commands(cluster: Cluster) -> Iterator[Said]:
    counted = Counter(record.command_id for record in cluster.records)
    for command, times in counted.items():
        if times > 1:
            yield Verdict.TWICE, f"command {command} is {times} times in the log"


def _row_faults(cluster: Cluster) -> Iterator[Said]:
    final, row = cluster.final, cluster.row
    if final is None:
        if row is not None:
            yield Verdict.GHOST, f"the tables have {row[1:4]}, and nothing was ever applied"
        return
    if row is None:
        acknowledged = any(call.status == 200 for call in cluster.calls)
        yield (
            Verdict.GHOST if acknowledged else Verdict.LOST,
            f"{final.status} version {final.version} is not in the tables",
        )
        return
    expected = (final.kind, final.status, final.version, "|".join(final.content) if final.status != GONE else "")
    if row[1:] == expected:
        return
    verdict = Verdict.LOST if int(row[3]) < final.version else Verdict.TWICE if int(row[3]) > final.version else None
    yield verdict or Verdict.CONTRADICTION, f"the tables have {row[1:]}, and the log makes it {expected}"


def _event_faults(cluster: Cluster) -> Iterator[Said]:
    expected = [
        (made.after.version, made.after.kind, made.after.status, record.partition, record.offset)
        for record, made in zip(cluster.records, cluster.steps, strict=True)
        if made.outcome == "applied" and made.after is not None
    ]
    found = [(each.version, each.kind, each.status, each.partition, each.source) for each in cluster.events]
    if found == expected:
        return
    missing, more = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    gaps = [pair for pair in pairwise(each[0] for each in found) if pair[1] != pair[0] + 1]
    yield Verdict.EVENT, f"missing {list(missing)}, too many {list(more)}, gaps or disorder {gaps}"
