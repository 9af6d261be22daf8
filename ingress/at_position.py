"""What became of the command at a position of the log: GETs that wait as their write would have (decision 12)."""

from aiohttp import web

from ingress.answers import proof
from ingress.app_keys import IDENTITY, OUTCOMES
from ingress.http.problems import bad_request, not_found, outcome_pending, pruned
from ingress.postgres.rows import OutcomeRow
from schemas.fields import is_text
from schemas.records import Position
from schemas.words import Kind, Subject


async def outcome_at(
    request: web.Request, position: Position, subject: tuple[str, Kind | Subject], deadline: float
) -> OutcomeRow:
    """The journal row at a position. `subject`: the id and kind that it must be about. Raises ProblemError."""
    command_id = request.query.get("commandId")
    headers = proof(command_id or "", position)
    try:
        row, is_pruned = await request.app[OUTCOMES].at(position, deadline)
    except TimeoutError as error:
        raise outcome_pending(headers) from error
    if row is None and is_pruned:
        raise pruned(headers)
    if row is None or (command_id is not None and not row.is_of(command_id)):
        raise outcome_pending(headers)
    if row.subject_id is not None and (row.subject_id, row.kind) != subject:
        raise not_found(subject[1])
    return row


def asked_position(request: web.Request) -> Position | None:
    """The position that a GET names. Raises ProblemError 400 when it is none of the commands topic."""
    text = request.query.get("position")
    if text is None:
        return None
    identity = request.app[IDENTITY]
    try:
        position = Position.parse(text)
    except ValueError as error:
        raise bad_request([("position", str(error))]) from None
    if position.topic != identity.commands_topic or position.partition >= identity.partitions:
        raise bad_request([("position", "is not in the commands topic")])
    if not is_text(request.query.get("commandId", "")):
        raise bad_request([("commandId", "must be a UUID")])
    return position
