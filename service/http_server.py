"""aiohttp's server without two holes that any caller could reach: requests that fail outside of its own care."""

from functools import partial
from typing import Any

from aiohttp import web

UNKNOWN_EXPECTATION = 417


class Handler(web.RequestHandler):
    __slots__ = ()

    async def start(self) -> None:
        """A target that can not be decoded (`GET http://xn--/`) fails where aiohttp catches nothing: without this, its
        connection would stay open for ever, unanswered.
        """
        try:
            await super().start()
        except ValueError as error:
            self.note_undecodable(error)
            self.force_close()

    def note_undecodable(self, error: ValueError) -> None:
        """For logs and metrics."""


class Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return Handler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        theirs = await super()._make_server()
        options: dict[str, Any] = theirs._kwargs  # noqa: SLF001 - what `Application` adds to ours
        return Server(partial(_handled, self.app), request_factory=theirs.request_factory, **options)


async def _handled(app: web.Application, request: web.Request) -> web.StreamResponse:
    """An `Expect` of other bytes than text fails as aiohttp puts it into its refusal."""
    try:
        return await app._handle(request)  # noqa: SLF001 - what aiohttp's own runner gives to its server
    except UnicodeEncodeError:
        return web.Response(status=UNKNOWN_EXPECTATION)
