"""/livez, /readyz and /metrics, on a port of their own; /readyz names what is missing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from service.http_server import Runner
from service.ports import when_free
from service.settings import ServiceSettings

_READY = Gauge("allocations_ready", "1 when /readyz answers 200")


class Health:
    """The reasons why this process is not ready, by part."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}
        self._degraded: dict[str, str] = {}
        self.notes: dict[str, Any] = {}
        """What /readyz says besides."""

    def problem(self, part: str, words: str) -> None:
        self._problems[part] = words
        _READY.set(0)

    def degraded(self, part: str, words: str) -> None:
        """What /readyz says of a process that is ready all the same."""
        self._degraded[part] = words

    def well(self, part: str) -> None:
        self._problems.pop(part, None)
        self._degraded.pop(part, None)
        _READY.set(not self._problems)

    @property
    def problems(self) -> dict[str, str]:
        return dict(self._problems)

    async def livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(self, _request: web.Request) -> web.Response:
        document: dict[str, Any] = {"status": "not ready" if self._problems else "ready"}
        if self._problems:
            document["problems"] = self._problems
        if self._degraded:
            document["degraded"] = self._degraded
        return web.json_response(document | self.notes, status=503 if self._problems else 200)

    async def readyz_for_callers(self, _request: web.Request) -> web.Response:
        """The names of the parts: the words have hosts, ports and users of servers, which are no caller's business."""
        document: dict[str, Any] = {"status": "not ready" if self._problems else "ready"}
        if self._problems:
            document["problems"] = list(self._problems)
        if self._degraded:
            document["degraded"] = list(self._degraded)
        return web.json_response(document, status=503 if self._problems else 200)


async def _metrics(_request: web.Request) -> web.Response:
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})


@asynccontextmanager
async def health_port(settings: ServiceSettings, health: Health) -> AsyncIterator[str]:
    """Serve the port for as long as the context lasts; yields the base URL with the actual port."""
    app = web.Application()
    app.router.add_get("/livez", health.livez)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", _metrics)
    runner = Runner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    where = f"metrics port {settings.metrics_port} of {settings.metrics_host}"
    try:
        await when_free(lambda: _listen(runner, settings), where, "Set …_METRICS_HOST and …_METRICS_PORT to a free one")
        host, port = runner.addresses[0][:2]
        yield f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, settings: ServiceSettings) -> None:
    site = web.TCPSite(runner, settings.metrics_host, settings.metrics_port)
    try:
        await site.start()
    except (OSError, ValueError):
        await site.stop()
        raise
