"""HTTP alone: the same web server, which reads the request and says that all went well. `python -m bench.bare`."""

import asyncio
import sys
from typing import Final

import uvloop
from aiohttp import web

from bench.pairs import BASE_PATH

ANSWERS: Final = {"reserve": {"status": "reserved"}, "clear": {"status": "cleared"}}


async def reserve(request: web.Request) -> web.Response:
    await request.json()
    return web.json_response(ANSWERS["reserve"])


async def clear(request: web.Request) -> web.Response:
    await request.read()
    return web.json_response(ANSWERS["clear"])


async def serve() -> None:
    """Print the URL, then serve until standard input ends."""
    app = web.Application()
    app.router.add_post(f"{BASE_PATH}/allocations", reserve)
    app.router.add_put(f"{BASE_PATH}/allocation/{{id}}/clear", clear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(serve())
