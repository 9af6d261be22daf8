"""What an answer says of its connection: how long it stays open for a next request, or that it is closed now.

A caller that does not know our idle time sends a request into a connection that we are closing, and gets a reset.
"""

from typing import Final

from aiohttp import hdrs, web

MARGIN_SECONDS: Final = 1
"""Announced is less than we wait: the caller's time begins when the answer arrives."""


class KeepAlive:
    """`is_leaving`: every answer is the last of its connection, so that callers go elsewhere before we stop."""

    def __init__(self, idle_seconds: float) -> None:
        self._announced = f"timeout={max(0, int(idle_seconds) - MARGIN_SECONDS)}"
        self.is_leaving = False

    async def announce(self, _request: web.BaseRequest, response: web.StreamResponse) -> None:
        """A handler of aiohttp's `on_response_prepare`."""
        if self.is_leaving:
            response.force_close()
        if response.keep_alive:
            response.headers[hdrs.CONNECTION] = "keep-alive"
            response.headers[hdrs.KEEP_ALIVE] = self._announced
        else:
            response.headers[hdrs.CONNECTION] = "close"
