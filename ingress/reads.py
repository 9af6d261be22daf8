"""GET of one allocation in the words of its POST answer, now or at a position of the log (contract, section 2)."""

from aiohttp import web

from ingress.answers import answer, current, proof
from ingress.app_keys import ACCESS, IDENTITY, OUTCOMES, ROWS, SETTINGS, SLOTS, SUBMISSION
from ingress.http.problems import bad_request, not_found, outcome_pending, pruned, unavailable
from ingress.http.requests import path_id
from schemas.fields import is_text
from schemas.records import Position
from schemas.words import Kind
from service.errors import UnavailableError


async def status(request: web.Request, *, kind: Kind) -> web.Response:
    caller = request.app[ACCESS].reader(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        allocation_id = path_id(request, kind)
        position = _position(request)
        await request.app[ACCESS].claim(caller, deadline)
        request["log"] = {"allocation_id": allocation_id, "caller": caller.name}
        if position is not None:
            return await _at(request, kind, allocation_id, position, deadline)
        try:
            row = await request.app[ROWS].allocation(allocation_id)
        except UnavailableError as error:
            raise unavailable("the tables do not answer") from error
        if row is None or row.kind is not kind:
            raise not_found()
        return current(row)


async def _at(
    request: web.Request, kind: Kind, allocation_id: str, position: Position, deadline: float
) -> web.Response:
    """The outcome of the command at a position: what its write would have been answered."""
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
    if row.subject_id is not None and (row.subject_id, row.kind) != (allocation_id, kind):
        raise not_found()
    return answer(row, position, request.app[SETTINGS].rejected_as)


def _position(request: web.Request) -> Position | None:
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
