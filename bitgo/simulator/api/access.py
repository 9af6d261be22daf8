"""Who may call: a bearer token with Read for GET, and with Read and Write for all else (contract, section 7).

The order of refusals: 401, 403, 404 for a foreign enterprise, 400.
"""

import ipaddress
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from bitgo.simulator.api.app_keys import PARTNER, TOKENS
from bitgo.simulator.api.errors import NETWORK, ApiError
from bitgo.simulator.tokens import NAMES, Permission, Token, find_token

TOKEN: Final = web.RequestKey("token", Token)


@web.middleware
async def check_access(request: web.Request, handler: Handler) -> web.StreamResponse:
    if request.path.startswith(NETWORK):
        _check_token(request)
        if request.match_info.get("enterpriseId", "") not in ("", request.app[PARTNER].enterprise_id):
            raise ApiError(404, "enterprise not found")
    elif not _is_local(request):
        raise ApiError(403, "the simulator's own endpoints answer to this machine only")
    return await handler(request)


def _check_token(request: web.Request) -> None:
    token = find_token(request.app[TOKENS], request.headers.get("Authorization"))
    if token is None:
        raise ApiError(401, "the access token is missing or not valid")
    needed = (Permission.READ,) if request.method == "GET" else (Permission.READ, Permission.WRITE)
    if missing := [NAMES[each] for each in needed if each not in token.permissions]:
        raise ApiError(403, f"the access token lacks the permission {' and '.join(missing)}")
    request[TOKEN] = token


def _is_local(request: web.Request) -> bool:
    address = ipaddress.ip_address((request.remote or "0.0.0.0").partition("%")[0])  # noqa: S104
    return bool((getattr(address, "ipv4_mapped", None) or address).is_loopback)
