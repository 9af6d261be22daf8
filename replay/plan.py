"""What a capture file holds, found by reading it to its end before anything of it is published."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from replay.capture_file import CaptureFileError, Source, reading
from replay.captured import Captured
from schemas.commands import Command
from schemas.records import NewerSchemaError, ParkedError, Position, decode_command
from schemas.words import ParkReason


@dataclass
class Plan:
    """A whole, good file of commands. `undecodable`: by reason, the records that are none."""

    source: Source
    commands: int = 0
    undecodable: Counter[ParkReason] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0

    @property
    def records(self) -> int:
        return self.commands + self.undecodable.total()


def command_of(record: Captured, source: Source) -> Command | ParkReason:
    """What a processor of the captured topic made of it: a command, or a dead letter for this reason.

    Raises NewerSchemaError.
    """
    try:
        return decode_command(record.key, record.value, record.partition, source.partitions)
    except ParkedError as error:
        return error.reason


def plan_of(path: Path, report: Callable[[int], None] = lambda _: None) -> Plan:
    """Read the whole file. Raises CaptureFileError when it is damaged or of no use to `load`, OSError.

    `report` is told how many bytes of the file were read since it was told last.
    """
    with reading(path) as reader:
        if reader.source.holds != "commands":
            raise CaptureFileError(
                f"{path} holds {reader.source.holds}: only commands are loaded, the rest is made from them"
            )
        plan, reported = Plan(reader.source), 0
        for record in reader:
            _note(plan, record)
            if reader.position_bytes != reported:
                report(reader.position_bytes - reported)
                reported = reader.position_bytes
    return plan


def _note(plan: Plan, record: Captured) -> None:
    try:
        found = command_of(record, plan.source)
    except NewerSchemaError as error:
        where = Position(plan.source.topic, record.partition, record.offset)
        raise CaptureFileError(f"{where} was written by a newer version ({error}): load it with that version") from None
    if not plan.records:
        plan.first_ms = record.timestamp_ms
    plan.last_ms = max(plan.last_ms, record.timestamp_ms)
    if isinstance(found, Command):
        plan.commands += 1
    else:
        plan.undecodable[found] += 1
