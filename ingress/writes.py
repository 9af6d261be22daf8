"""The six write endpoints: authenticate, parse, check capacity, claim the token; then publish, wait, answer."""

from aiohttp import web

from ingress.answers import answer, proof
from ingress.app_keys import ACCESS, SETTINGS, SLOTS, SUBMISSION
from ingress.auth.access import Caller
from ingress.http.requests import path_id, read_body, read_model, traceparent, wants_async
from ingress.submit import finish_command, reserve_command
from schemas.commands import Command, Reserve
from schemas.http import RESERVE_BODIES
from schemas.records import Position
from schemas.words import Kind, Verb


async def reserve(request: web.Request, *, kind: Kind) -> web.Response:
    caller = request.app[ACCESS].bitgo(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        body = await read_model(request, RESERVE_BODIES[kind], deadline)
        return await _submit(request, caller, reserve_command(body, request.app[SETTINGS].after_final(kind)), deadline)


async def finish(request: web.Request, *, kind: Kind, verb: Verb) -> web.Response:
    """Clear or release. A body is ignored, whatever it is; it must only not be too large."""
    caller = request.app[ACCESS].bitgo(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        allocation_id = path_id(request, kind)
        await read_body(request, deadline)
        return await _submit(request, caller, finish_command(kind, verb, allocation_id), deadline)


async def _submit(request: web.Request, caller: Caller, command: Command, deadline: float) -> web.Response:
    submission = request.app[SUBMISSION]
    request["log"] = {"allocation_id": command.subject_id, "command_id": command.command_id}
    submission.check_capacity(command.subject_id)
    await request.app[ACCESS].claim(caller, deadline)
    with submission.expecting(command):
        position = await submission.publish(command, traceparent(request), deadline)
        request["log"]["position"] = str(position)
        if wants_async(request):
            return _accepted(request, command, position)
        row = await submission.outcome_of(command, position, deadline)
    request["log"]["outcome"] = row.outcome
    sent = command if isinstance(command, Reserve) else None
    return answer(row, position, request.app[SETTINGS].rejected_as, sent)


def _accepted(request: web.Request, command: Command, position: Position) -> web.Response:
    """202: the log has it. The location answers as this request would have (contract, section 8)."""
    base = request.app[SETTINGS].base_path
    location = f"{base}/{command.kind}/{command.subject_id}?position={position}&commandId={command.command_id}"
    return web.json_response(
        {"commandId": command.command_id, "logPosition": str(position)},
        status=202,
        headers={"Location": location, "Preference-Applied": "respond-async", **proof(command.command_id, position)},
    )
