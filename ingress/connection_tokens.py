"""One-time tokens: issued, listed and revoked by operators (contract, section 6). Shown once, never logged."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeVar

from aiohttp import web

from ingress.app_keys import ACCESS, LISTS, SLOTS, SUBMISSION
from ingress.auth.operators import Permission
from ingress.http.problems import ProblemError, bad_request, unavailable
from ingress.http.requests import read_model
from ingress.postgres import connection_tokens as table
from ingress.postgres.database import Connection
from schemas.fields import utc_milliseconds
from schemas.platform_bodies import ConnectionTokenBody
from service.errors import UnavailableError

NO_STORE: Final = {"Cache-Control": "no-store"}
_HASH: Final = re.compile(r"[0-9a-f]{64}")

R = TypeVar("R")


async def issue(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].operator(request, Permission.WRITE)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        body = await read_model(request, ConnectionTokenBody, deadline)
        new = await _run(
            request,
            partial(
                table.issue,
                partners_connection_id=body.partners_connection_id,
                partners_client_id=body.partners_client_id,
                lifetime=timedelta(seconds=body.expires_in_seconds),
                issued_by=caller.name,
            ),
        )
        request["log"] = {"caller": caller.name, "token_hash": new.token_hash}
        return web.json_response(issued_document(new), status=201, headers=NO_STORE)


def issued_document(new: table.NewToken) -> dict[str, str]:
    return {
        "connectionToken": new.token,
        "tokenHash": new.token_hash,
        "partnersConnectionId": new.issued.partners_connection_id,
        "partnersClientId": new.issued.partners_client_id,
        "expiresAt": utc_milliseconds(new.issued.expires_at),
    }


async def revoke(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].operator(request, Permission.WRITE)
    with request.app[SLOTS]:
        token_hash = request.match_info["tokenHash"].lower()
        if not _HASH.fullmatch(token_hash):
            raise bad_request([("tokenHash", "must be 64 hexadecimal digits")])
        request["log"] = {"caller": caller.name, "token_hash": token_hash}
        if not await _run(request, partial(table.revoke, token_hash=token_hash)):
            raise ProblemError(404, "not_found", "there is no such connection token")
        return web.Response(status=204)


async def listed(request: web.Request) -> web.Response:
    """Those that have not expired, the newest first, 1,000 at most."""
    caller = request.app[ACCESS].operator(request, Permission.READ)
    with request.app[SLOTS]:
        request["log"] = {"caller": caller.name}
        found = await _run(request, table.listed)
        return web.json_response({"connectionTokens": [_document(each) for each in found]}, headers=NO_STORE)


def _document(each: table.Listed) -> dict[str, Any]:
    document = {
        "tokenHash": each.token_hash,
        "partnersConnectionId": each.partners_connection_id,
        "partnersClientId": each.partners_client_id,
        "issuedBy": each.issued_by,
        "issuedAt": utc_milliseconds(each.issued_at),
        "expiresAt": utc_milliseconds(each.expires_at),
        "revokedAt": utc_milliseconds(each.revoked_at) if each.revoked_at else None,
        "connectionId": each.connection_id,
    }
    return {name: value for name, value in document.items() if value is not None}


async def _run(request: web.Request, work: Callable[[Connection], Awaitable[R]]) -> R:
    try:
        return await request.app[LISTS].run(work)
    except UnavailableError as error:
        raise unavailable("Postgres does not answer; try again") from error
