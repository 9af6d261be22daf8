"""GET of one allocation in the words of its POST answer, now or at a position of the log (contract, section 2)."""

from aiohttp import web

from ingress.answers import answer, current
from ingress.app_keys import ACCESS, ROWS, SETTINGS, SLOTS, SUBMISSION
from ingress.at_position import asked_position, outcome_at
from ingress.http.problems import not_found, unavailable
from ingress.http.requests import path_id
from schemas.words import Kind
from service.errors import UnavailableError


async def status(request: web.Request, *, kind: Kind) -> web.Response:
    caller = request.app[ACCESS].reader(request)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        allocation_id = path_id(request, kind)
        position = asked_position(request)
        await request.app[ACCESS].claim(caller, deadline)
        request["log"] = {"allocation_id": allocation_id, "caller": caller.name}
        if position is not None:
            row = await outcome_at(request, position, (allocation_id, kind), deadline)
            return answer(row, position, request.app[SETTINGS].rejected_as)
        try:
            found = await request.app[ROWS].allocation(allocation_id)
        except UnavailableError as error:
            raise unavailable("the tables do not answer") from error
        if found is None or found.kind is not kind:
            raise not_found()
        return current(found)
