"""Listening: how many connections there may be, and how long one may be idle.

aiohttp closes a connection that has not completed a request for `idle_seconds`, however many bytes it sent. The limit
on connections and the shorter time for the first request are ours. A connection over the limit, or without a request
in time, is closed without an answer: nothing was read from it. One whose client does not read is reset by the kernel.
"""

import asyncio
import ipaddress
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

from aiohttp import web, web_response
from aiohttp.http_exceptions import HttpProcessingError

from ingress import metrics
from ingress.http.keep_alive import KeepAlive
from ingress.http.middleware import answer_and_log
from ingress.http.problems import ProblemError
from ingress.http.tls import Certificate
from ingress.settings import IngressSettings
from service.errors import OperatorError
from service.http_server import Handler, Server
from service.logs import logger
from service.ports import refused, when_free

HEADER_MAX_BYTES: Final = 16 * 1024
HEADERS_MAX: Final = 128
HEAD_MAX_BYTES: Final = 64 * 1024
BACKLOG: Final = 1024
OTHER_FILES: Final = 256
"""File descriptors for everything but callers: brokers, database, health port, libraries."""
FINISH_MARGIN_SECONDS: Final = 2.0
"""A stopping process waits this much longer for requests in flight than a request may take."""
SOFTWARE: Final = "allocations"
_REMEDY: Final = "Set INGRESS_HOST and INGRESS_PORT to what this machine has free"

_log = logger("ingress")


class _Connection(Handler):
    __slots__ = ("_head_bytes",)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Close a connection whose request head exceeds the limit before it is complete."""
        super().data_received(data)
        if self._waiter is None or self._waiter.done():  # aiohttp has a request in hand
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_MAX_BYTES:
            metrics.CLOSED.labels("head_too_large").inc()
            self.force_close()

    def note_undecodable(self, error: ValueError) -> None:
        metrics.MALFORMED.inc()
        _log.warning("malformed", error=type(error).__name__)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Malformed HTTP is the caller's mistake: one log line, no trace, and no echo in the answer."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        metrics.MALFORMED.inc()
        _log.warning("malformed", error=type(exc).__name__)
        response = ProblemError(400, "malformed", "this is no HTTP request").response()
        response.force_close()
        return response


class _Connections(Server):
    def __init__(self, settings: IngressSettings, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._max = settings.connections_max
        self._receive_seconds = settings.receive_seconds
        self._open: dict[web.RequestHandler, asyncio.TimerHandle] = {}

    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        if len(self._open) >= self._max:
            metrics.CLOSED.labels("no_place").inc()
            self._loop.call_soon(transport.abort)  # not before aiohttp has finished setting the connection up
            return
        self._open[handler] = self._loop.call_later(self._receive_seconds, _close_if_silent, handler)
        metrics.CONNECTIONS.set(len(self._open))

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        if timer := self._open.pop(handler, None):
            timer.cancel()
            metrics.CONNECTIONS.set(len(self._open))


def _close_if_silent(handler: web.RequestHandler) -> None:
    if not handler._request_count:  # noqa: SLF001 - aiohttp counts the requests of a connection for itself only
        metrics.CLOSED.labels("no_request").inc()
        handler.force_close()


async def _refuse_expectation(_request: web.Request) -> web.StreamResponse:
    raise ProblemError(417, "unknown_expectation", "of Expect, only 100-continue is known")


async def _handled(app: web.Application, request: web.Request) -> web.StreamResponse:
    """Answer, log and count what aiohttp refuses for its Expect, before any middleware, as everything else."""
    try:
        return await app._handle(request)  # noqa: SLF001 - what aiohttp's own runner gives to its server
    except (web.HTTPExpectationFailed, UnicodeEncodeError):
        return await answer_and_log(request, _refuse_expectation)


class _Runner(web.AppRunner):
    def __init__(self, app: web.Application, settings: IngressSettings) -> None:
        super().__init__(
            app,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=settings.idle_seconds,
            lingering_time=settings.receive_seconds,
            max_field_size=HEADER_MAX_BYTES,
            max_headers=HEADERS_MAX,
            max_line_size=HEADER_MAX_BYTES,
            shutdown_timeout=settings.answer_timeout_seconds + FINISH_MARGIN_SECONDS,
        )
        self._settings = settings

    async def _make_server(self) -> web.Server:
        theirs = await super()._make_server()
        return _Connections(
            self._settings,
            partial(_handled, self.app),
            request_factory=theirs.request_factory,
            **theirs._kwargs,  # noqa: SLF001 - what `Application` adds to ours
        )


def check_address(settings: IngressSettings) -> None:
    """Raises OperatorError for what can not be listened on, and when others than this machine would be spoken to
    without TLS (contract, section 4).
    """
    try:
        hosts = _hosts(settings)
    except (OSError, ValueError, OverflowError) as error:
        raise refused(_where(settings), error, _REMEDY) from error
    if settings.tls_certificate_file is not None or settings.allow_plaintext:
        return
    if open_to_others := [each for each in hosts if not _is_loopback(each)]:
        raise OperatorError(
            f"without TLS this process may not listen on {open_to_others[0]}, which other machines reach: set "
            "INGRESS_TLS_CERTIFICATE_FILE and INGRESS_TLS_KEY_FILE, listen on 127.0.0.1, or, only where TLS ends in "
            "front of it, set INGRESS_ALLOW_PLAINTEXT=true"
        )


def _where(settings: IngressSettings) -> str:
    if settings.listen_fd is not None:
        return f"the inherited socket {settings.listen_fd}"
    return f"port {settings.port} of {settings.host or 'every address'}"


def _hosts(settings: IngressSettings) -> list[str]:
    if settings.listen_fd is not None:
        with socket.socket(fileno=os.dup(settings.listen_fd)) as inherited:
            if inherited.type != socket.SOCK_STREAM:
                raise OSError("it is no stream socket")
            return [] if inherited.family == socket.AF_UNIX else [inherited.getsockname()[0]]
    found = socket.getaddrinfo(settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [str(each[4][0]) for each in found]


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


@asynccontextmanager
async def listening(
    app: web.Application, settings: IngressSettings, certificate: Certificate | None
) -> AsyncIterator[KeepAlive]:
    """Accept requests; at exit stop accepting and finish those in flight."""
    _make_room(settings.connections_max)
    web_response.SERVER_SOFTWARE = SOFTWARE  # type: ignore[attr-defined]
    keep_alive = KeepAlive(settings.idle_seconds)
    app.on_response_prepare.append(keep_alive.announce)
    runner = _Runner(app, settings)
    await runner.setup()
    listen = partial(
        asyncio.get_running_loop().create_server,
        runner.server,
        **_address(settings),
        backlog=BACKLOG,
        ssl=certificate.context if certificate else None,
        ssl_handshake_timeout=settings.receive_seconds if certificate else None,
    )
    server = await when_free(listen, _where(settings), _REMEDY)
    try:
        for each in server.sockets:
            _cut_off_who_does_not_read(each, settings.idle_seconds)
        _log.info("listening", addresses=[str(each.getsockname()) for each in server.sockets])
        yield keep_alive
    finally:
        server.close()
        await runner.cleanup()


def _address(settings: IngressSettings) -> dict[str, Any]:
    if settings.listen_fd is not None:
        return {"sock": socket.socket(fileno=settings.listen_fd)}
    return {"host": settings.host, "port": settings.port}


def _cut_off_who_does_not_read(listening: socket.socket, seconds: float) -> None:
    """Accepted sockets inherit it. Linux only: elsewhere such a connection lasts for as long as its caller."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def _make_room(connections: int) -> None:
    """Raises OperatorError when this process may not open as many files as there may be connections."""
    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft in range(needed):  # unlimited is -1 here
        if hard in range(needed):
            raise OperatorError(
                f"this process may open {hard} files, and {connections} connections need {needed}: raise the limit "
                "(`ulimit -Hn`, LimitNOFILE) or lower INGRESS_CONNECTIONS_MAX"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
