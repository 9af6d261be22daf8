"""The command that is published for a dead letter. Pure, but for the clock.

A retried command has a new command id, derived from the dead letter's place and the number of the attempt, and a new
deadline, because the old one has passed. When it was received stays: a release that was received before its id was
issued again must not release the new reservation (decision 13).
"""

from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, uuid5

from replay.dead_letters import Content, RefusedError
from schemas.commands import Command
from schemas.records import NewerSchemaError, ParkedError, Position, read_command

RETRY_OF: Final = "retry-of"
"""The header that names the dead letter."""
LASTING: Final = timedelta(seconds=15)


def command_of(content: Content) -> Command:
    """What a dead letter says, whatever key and partition it came with. Raises RefusedError when it is no command."""
    try:
        return read_command(content.value)
    except ParkedError as error:
        raise RefusedError(f"it is no command ({error}): who wrote it must write it again; discard this one") from error
    except NewerSchemaError as error:
        raise RefusedError(f"a newer version wrote it ({error}): retry it with that version") from error


def retried(command: Command, cluster_id: str, source: Position, attempt: int, recorded_at: datetime) -> Command:
    """The command that is published for a dead letter that was recorded at `source`."""
    now = datetime.now(UTC)
    return command.model_copy(
        update={
            "command_id": str(uuid5(NAMESPACE_URL, f"allocations:retry:{cluster_id}:{source}:{attempt}")),
            "received_at": min(command.received_at, recorded_at),
            "deadline": now + LASTING,
        }
    )
