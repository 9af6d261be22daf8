"""When a replayed command was received, and until when it may be appended. Pure.

Around a re-issue the machine compares `received_at` with the times at which earlier records of the same id were
appended (decision 13), and always the append time with `deadline` (decision 10). Both must come out as they did:

- after all earlier records of its id, as nearly always: received when it is sent, or, where the broker's clock is
  ahead of ours, a millisecond after the latest of them was appended;
- before one of them was appended: half a millisecond before that one's new time;
- the deadline keeps its distance; what was appended after its deadline is as late again, and five seconds more, because
  clocks may differ by that;
- a connection's token that had expired has expired, and one that had not has not.
"""

from collections import OrderedDict, deque
from datetime import datetime, timedelta
from typing import Final, TypeVar

from schemas.commands import ActivateConnection, Command, Reserve
from schemas.words import AfterFinal

REMEMBERED_IDS: Final = 50_000
REMEMBERED_RECORDS: Final = 32
"""Of one id. What is received before more of them were appended, within its fifteen seconds, is not worth more."""
CLOCK_TOLERANCE: Final = timedelta(seconds=5)

LASTING_MAX: Final = timedelta(days=1)

T = TypeVar("T")

_AFTER: Final = timedelta(milliseconds=1)
_BEFORE: Final = timedelta(microseconds=500)


class Times:
    """Remembers, for the ids that were replayed last, when their latest records were appended: then, and again."""

    def __init__(self) -> None:
        self._appended: OrderedDict[str, deque[tuple[datetime, datetime]]] = OrderedDict()
        self._reissuable: OrderedDict[str, None] = OrderedDict()

    def count(self, command: Command) -> bool:
        """Whether they count for it: from the first reserve on by which its id, once released, may be issued again.

        If so, it must not be sent before the record of its id before it is acknowledged, and a millisecond later.
        """
        if isinstance(command, Reserve) and command.after_final is AfterFinal.REISSUE:
            _note(self._reissuable, command.subject_id, None)
        return command.subject_id in self._reissuable

    def shift(self, command: Command, recorded_at: datetime, now: datetime) -> Command:
        """`command`, which was appended at `recorded_at`, to be sent now."""
        lasting = _bounded(command.deadline - min(command.received_at, recorded_at))
        if recorded_at > command.deadline:
            deadline = now - CLOCK_TOLERANCE - _bounded(recorded_at - command.deadline)
            return command.model_copy(update={"received_at": deadline - lasting, "deadline": deadline})
        received_at = self._received_at(command, now)
        shifted = {"received_at": received_at, "deadline": received_at + lasting}
        return _with_token(command.model_copy(update=shifted), recorded_at, now)

    def _received_at(self, command: Command, now: datetime) -> datetime:
        latest = None
        for then, again in reversed(self._appended.get(command.subject_id, ())):
            if command.received_at == then:
                return again
            if command.received_at > then:
                return latest - _BEFORE if latest else max(now, again + _AFTER)
            latest = again
        return latest - _BEFORE if latest else now

    def appended(self, subject_id: str, then: datetime, again: datetime) -> None:
        """A record of the id, appended `then`, was appended `again`. Ids as they are in the capture."""
        records = self._appended.get(subject_id) or deque(maxlen=REMEMBERED_RECORDS)
        records.append((then, again))
        _note(self._appended, subject_id, records)


def _with_token(command: Command, recorded_at: datetime, now: datetime) -> Command:
    """A token that was good when the command was appended is good until its deadline, and one that was not is not."""
    if not isinstance(command, ActivateConnection) or command.issued is None:
        return command
    left = command.issued.expires_at - recorded_at
    if left < timedelta():
        expires_at = now - CLOCK_TOLERANCE - _bounded(-left)
    else:
        expires_at = command.deadline + min(left, LASTING_MAX)
    return command.model_copy(update={"issued": command.issued.model_copy(update={"expires_at": expires_at})})


def _note(memory: OrderedDict[str, T], subject_id: str, what: T) -> None:
    """Remember it as the latest, and forget what was noted longest ago."""
    memory[subject_id] = what
    memory.move_to_end(subject_id)
    if len(memory) > REMEMBERED_IDS:
        memory.popitem(last=False)


def _bounded(lasting: timedelta) -> timedelta:
    """Nobody's deadline is a day away; what claims so must not run over the end of the calendar."""
    return min(max(lasting, timedelta()), LASTING_MAX)
