"""The six write endpoints of allocations and deallocations: authenticate and parse; the rest is `ingress/write.py`."""

from functools import partial

from aiohttp import web

from ingress.answers import answer
from ingress.app_keys import ACCESS, SETTINGS, SLOTS, SUBMISSION
from ingress.auth.access import Caller
from ingress.http.requests import path_id, read_body, read_model
from ingress.submit import finish_command, reserve_command
from ingress.write import write
from schemas.commands import AllocationCommand, Reserve
from schemas.http import RESERVE_BODIES
from schemas.words import Kind, Verb


async def reserve(request: web.Request, *, kind: Kind) -> web.Response:
    caller = request.app[ACCESS].bitgo(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        body = await read_model(request, RESERVE_BODIES[kind], deadline)
        return await _write(request, caller, reserve_command(body, request.app[SETTINGS].after_final(kind)), deadline)


async def finish(request: web.Request, *, kind: Kind, verb: Verb) -> web.Response:
    """Clear or release. A body is ignored, whatever it is; it must only not be too large."""
    caller = request.app[ACCESS].bitgo(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        allocation_id = path_id(request, kind)
        await read_body(request, deadline)
        return await _write(request, caller, finish_command(kind, verb, allocation_id), deadline)


async def _write(request: web.Request, caller: Caller, command: AllocationCommand, deadline: float) -> web.Response:
    settings = request.app[SETTINGS]
    sent = command if isinstance(command, Reserve) else None
    return await write(
        request,
        caller,
        command,
        deadline,
        resource=f"{settings.base_path}/{command.kind}/{command.allocation_id}",
        answer=partial(answer, rejected_as=settings.rejected_as, request=sent),
    )
