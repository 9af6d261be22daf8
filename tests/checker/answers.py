"""Whether each answer about one allocation is what the model says at the place in the log that the answer names.

The log gives the order. Left to check: that the order respects real time (a call that was answered before another began
does not come after it), that every answer fits its place, and that every read fits some place that real time allows.
"""

from collections.abc import Iterator
from math import inf

from tests.checker.cluster import Call, Cluster, Position, Record
from tests.checker.findings import Verdict
from tests.checker.model import GONE, Answer, State, answer_to
from tests.checker.walk import Said

NOTHING_WAS_PUBLISHED = ("unavailable", "overloaded", "unauthorized")


def answers(cluster: Cluster) -> Iterator[Said]:
    """After `walk`. What the walk did not reach is not judged."""
    yield from _strangers(cluster)
    places = {record.position: n for n, record in enumerate(cluster.records)}
    by_trace: dict[str, list[Record]] = {}
    for record in cluster.records:
        by_trace.setdefault(record.trace, []).append(record)
    for call in cluster.calls:
        if call.writes:
            yield from _write_faults(call, by_trace.get(call.trace, []))
        if call.status is not None and call.verb != "read":
            yield from _answer_faults(cluster, call, places)
    yield from _order_faults(cluster)
    if len(cluster.steps) == len(cluster.records):
        yield from _read_faults(cluster)


def _strangers(cluster: Cluster) -> Iterator[Said]:
    asked = cluster.by_trace()
    for record in cluster.records:
        call = asked.get(record.trace)
        if call is None:
            yield Verdict.GHOST, f"nobody asked for the {record.verb} at {record.partition}/{record.offset}"
        elif (call.kind, call.verb, call.content) != (record.kind, record.verb, record.content):
            yield (
                Verdict.CONTRADICTION,
                f"{call.verb} {call.content} was asked, {record.verb} {record.content} is in the log",
            )


def _write_faults(call: Call, records: list[Record]) -> Iterator[Said]:
    if len(records) > 1:
        yield (
            Verdict.TWICE,
            f"one {call.verb} is {len(records)} times in the log: {[each.position for each in records]}",
        )
    if call.status is None or not records:
        return
    if call.position is None and call.word in NOTHING_WAS_PUBLISHED:
        yield (
            Verdict.CONTRADICTION,
            f"a {call.verb} was answered {call.word} and is in the log at {records[0].position}",
        )
    if call.command_id is not None and call.command_id != records[0].command_id:
        yield Verdict.CONTRADICTION, f"a {call.verb} was answered as command {call.command_id}, not as its own"


def _answer_faults(cluster: Cluster, call: Call, places: dict[Position, int]) -> Iterator[Said]:
    said = f"{call.verb} was answered {call.status} {call.word}"
    if call.position is None:
        if call.status not in (401, 503):
            yield Verdict.CONTRADICTION, f"{said}, without a place in the log"
        return
    place = places.get(call.position)
    if place is None or cluster.records[place].command_id != call.command_id:
        yield Verdict.LOST, f"{said} as command {call.command_id} at {call.position}, which is not there in the log"
        return
    if call.status == 202 or call.word == "outcome_pending" or place >= len(cluster.steps):
        return
    expected = answer_to(cluster.steps[place])
    given = Answer(call.status or 0, call.word or "", call.version if call.status == 200 else None, call.rejection)
    if given != expected:
        yield Verdict.CONTRADICTION, f"{said} at {call.position}: {given}, and should be {expected}"
    if call.status == 200 and call.answered_id != call.id:
        yield Verdict.CONTRADICTION, f"{said} about {call.answered_id}"


def _order_faults(cluster: Cluster) -> Iterator[Said]:
    """A call that was answered before another began may not come after it in the log."""
    asked, latest, latest_verb = cluster.by_trace(), -inf, ""
    for record in cluster.records:
        call = asked.get(record.trace)
        if call is None:
            continue
        if call.appended_by < latest:
            yield (
                Verdict.CONTRADICTION,
                f"a {call.verb} was answered before a {latest_verb} began that precedes it in the log",
            )
        if call.start > latest:
            latest, latest_verb = call.start, call.verb


def _read_faults(cluster: Cluster) -> Iterator[Said]:
    """A read sees the state after some record that real time allows, and not an older one than an earlier read saw."""
    asked = cluster.by_trace()
    writes = [asked.get(record.trace) for record in cluster.records]
    seen: list[tuple[float, int]] = []
    for read in (call for call in cluster.calls if call.verb == "read" and call.status in (200, 404)):
        end = read.end if read.end is not None else inf
        done = [n + 1 for n, write in enumerate(writes) if write is not None and write.applied_by < read.start]
        before = [place for ended, place in seen if ended < read.start]
        later = [n for n, write in enumerate(writes) if write is not None and write.start > end]
        first, last = max([0, *done, *before]), min([len(writes), *later])
        fitting = [place for place in range(first, last + 1) if _visible(cluster, place, read.kind) == _seen(read)]
        if not fitting:
            allowed = sorted({str(_visible(cluster, place, read.kind)) for place in range(first, last + 1)})
            yield Verdict.CONTRADICTION, f"a read saw {_seen(read)}, and only {', '.join(allowed)} was there to be seen"
            return
        seen.append((end, fitting[0]))


def _visible(cluster: Cluster, place: int, kind: str) -> tuple[str, int] | None:
    """What a read sees after so many records."""
    state: State | None = cluster.steps[place - 1].after if place else None
    return None if state is None or state.status == GONE or state.kind != kind else (state.status, state.version)


def _seen(read: Call) -> tuple[str, int] | None:
    return (read.word or "", read.version or 0) if read.status == 200 else None
