"""Makes the trouble that was requested, around everything else that a request goes through."""

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from bitgo.simulator.api.app_keys import TROUBLES
from bitgo.simulator.api.errors import ApiError
from bitgo.simulator.api.settlements import STOP, Stop
from bitgo.simulator.trouble import SENTENCES, Trouble

ENDPOINT: Final = web.AppKey("endpoint", dict[tuple[str, str], str])
"""Names of endpoints by method and path."""
_NEVER_SENT: Final = b'{"error": "this answer breaks off'


@web.middleware
async def make_trouble(request: web.Request, handler: Handler) -> web.StreamResponse:
    trouble = _trouble_for(request)
    if trouble is None:
        return await handler(request)
    if trouble.settlement is not None:
        request[STOP] = Stop(trouble.settlement, int(trouble.answer))
        return await handler(request)
    if trouble.answer == "slow":
        return await _slow(request, handler, trouble)
    answer = await handler(request) if trouble.after else None
    if trouble.answer == "cut":
        return await _cut(request, answer)
    headers = {"Retry-After": str(trouble.retry_after_seconds)} if trouble.answer in ("429", "503") else None
    return ApiError(int(trouble.answer), SENTENCES[trouble.answer], headers).response()


def _trouble_for(request: web.Request) -> Trouble | None:
    resource = request.match_info.route.resource
    endpoint = request.app[ENDPOINT].get((request.method, resource.canonical)) if resource else None
    return request.app[TROUBLES].take(endpoint) if endpoint else None


async def _slow(request: web.Request, handler: Handler, trouble: Trouble) -> web.StreamResponse:
    await asyncio.sleep(0 if trouble.after else trouble.seconds)
    answer = await handler(request)
    await asyncio.sleep(trouble.seconds if trouble.after else 0)
    return answer


async def _cut(request: web.Request, answer: web.StreamResponse | None) -> web.StreamResponse:
    """The head and a part of the body, and no more: of the true answer where there is one."""
    body = answer.body if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else _NEVER_SENT
    cut = web.StreamResponse(status=answer.status if answer else 200, headers={"Content-Type": "application/json"})
    cut.content_length = len(body) + (0 if answer else 1)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut
