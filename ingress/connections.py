"""Connections: activated by BitGo with a one-time token, changed by operators afterwards (contract, section 6)."""

from aiohttp import web

from ingress.app_keys import ACCESS, CONNECTION_TOKENS, ROWS, SETTINGS, SLOTS, SUBMISSION
from ingress.at_position import asked_position, outcome_at
from ingress.auth.access import Caller
from ingress.auth.operators import Permission
from ingress.http.problems import not_found, unavailable
from ingress.http.requests import path_id, read_body, read_model
from ingress.platform_answers import connection_answer, current_connection
from ingress.submit import activate_command, change_command
from ingress.write import write
from schemas.commands import ConnectionCommand, DeactivateConnection, ReactivateConnection
from schemas.http import ActivateBody
from schemas.words import Subject
from service.errors import UnavailableError


async def activate(request: web.Request) -> web.Response:
    """What the token was issued for is looked up before the caller's own token is claimed: a 503 costs nothing."""
    caller = request.app[ACCESS].bitgo(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        body = await read_model(request, ActivateBody, deadline)
        presented = await request.app[CONNECTION_TOKENS].presented(body.connection_token, deadline)
        request["log"] = {"connection_token": presented.form}
        command = activate_command(body, presented.token_hash, presented.issued)
        return await _write(request, caller, command, deadline)


async def change(request: web.Request, *, command: type[DeactivateConnection | ReactivateConnection]) -> web.Response:
    """Deactivate or reactivate. A body is ignored."""
    caller = request.app[ACCESS].operator(request, Permission.WRITE)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        connection_id = path_id(request, Subject.CONNECTION)
        await read_body(request, deadline)
        request["log"] = {"caller": caller.name}
        return await _write(request, caller, change_command(command, connection_id, caller.name), deadline)


async def _write(request: web.Request, caller: Caller, command: ConnectionCommand, deadline: float) -> web.Response:
    resource = f"{request.app[SETTINGS].base_path}/connections/{command.connection_id}"
    return await write(request, caller, command, deadline, resource=resource, answer=connection_answer)


async def status(request: web.Request) -> web.Response:
    """The connection as it is now, with its status; or what became of the command at a position."""
    caller = request.app[ACCESS].reader(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        connection_id = path_id(request, Subject.CONNECTION)
        position = asked_position(request)
        await request.app[ACCESS].claim(caller, deadline)
        request["log"] = {"connection_id": connection_id, "caller": caller.name}
        if position is not None:
            row = await outcome_at(request, position, (connection_id, Subject.CONNECTION), deadline)
            return connection_answer(row, position)
        try:
            found = await request.app[ROWS].connection(connection_id)
        except UnavailableError as error:
            raise unavailable("the tables do not answer") from error
        if found is None:
            raise not_found(Subject.CONNECTION)
        return current_connection(found)
