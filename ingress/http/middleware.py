"""Around every request: errors become answers, and one canonical log line is written after the answer."""

import asyncio
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ingress import metrics
from ingress.http.problems import ProblemError, is_network
from service.logs import logger

_log = logger("ingress")


@web.middleware
async def answer_and_log(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every exception of a handler into an answer of ours."""
    started = time.perf_counter()
    code = ""
    try:
        response = await handler(request)
    except ProblemError as problem:
        code, response = problem.code, _render(request, problem)
    except web.HTTPNotFound:
        code = "unknown_path"
        response = _render(request, ProblemError(404, code, "there is no such endpoint"))
    except web.HTTPException as error:
        code = error.reason.lower().replace(" ", "_")
        response = _render(request, ProblemError(error.status, code, error.reason, _allowed(error)))
    except Exception:  # noqa: BLE001 - the caller gets a 500, the log the rest
        _log.exception("request_failed", method=request.method, path=request.path)
        code = "internal"
        response = _render(request, ProblemError(500, code, "an unexpected error; it was logged"))
    seconds = time.perf_counter() - started
    asyncio.get_running_loop().call_soon(_count, request, response.status, code, seconds)
    return response


def _render(request: web.Request, problem: ProblemError) -> web.Response:
    return problem.network_response() if is_network(request.path) else problem.response()


def _allowed(error: web.HTTPException) -> dict[str, str]:
    return {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}


def _count(request: web.Request, status: int, code: str, seconds: float) -> None:
    resource = request.match_info.route.resource
    route = resource.canonical if resource else "none"
    metrics.requests(request.method, route, status, code).inc()
    metrics.seconds(request.method, route).observe(seconds)
    details: dict[str, Any] = request.get("log", {})
    _log.info(
        "answered",
        method=request.method,
        route=route,
        status=status,
        code=code or None,
        duration_ms=round(seconds * 1000, 2),
        **details,
    )
