"""One write, whatever it is about: check capacity, claim the token, publish, wait, answer (decisions 9 to 11)."""

from collections.abc import Callable

from aiohttp import web

from ingress.answers import proof
from ingress.app_keys import ACCESS, SUBMISSION
from ingress.auth.access import Caller
from ingress.http.requests import traceparent, wants_async
from ingress.postgres.rows import OutcomeRow
from schemas.commands import AllocationCommand, Command
from schemas.records import Position

Answer = Callable[[OutcomeRow, Position], web.Response]


async def write(
    request: web.Request, caller: Caller, command: Command, deadline: float, *, resource: str, answer: Answer
) -> web.Response:
    """The answer that `answer` makes from the outcome, or 202 with the `resource` that will say it.

    Raises ProblemError.
    """
    submission = request.app[SUBMISSION]
    subject = "allocation" if isinstance(command, AllocationCommand) else command.kind
    request["log"] = request.get("log", {}) | {f"{subject}_id": command.subject_id, "command_id": command.command_id}
    submission.check_capacity(command.subject_id)
    await request.app[ACCESS].claim(caller, deadline)
    with submission.expecting(command):
        position = await submission.publish(command, traceparent(request), deadline)
        request["log"]["position"] = str(position)
        if wants_async(request):
            return _accepted(resource, command, position)
        row = await submission.outcome_of(command, position, deadline)
    request["log"]["outcome"] = row.outcome
    return answer(row, position)


def _accepted(resource: str, command: Command, position: Position) -> web.Response:
    """202: the log has it. The location answers as this request would have (contract, section 8)."""
    location = f"{resource}?position={position}&commandId={command.command_id}"
    return web.json_response(
        {"commandId": command.command_id, "logPosition": str(position)},
        status=202,
        headers={"Location": location, "Preference-Applied": "respond-async", **proof(command.command_id, position)},
    )
