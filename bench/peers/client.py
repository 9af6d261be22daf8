"""The same load on Restate, without tokens, a process of its own: `python -m bench.peers.client URL`."""

import sys
import uuid
from typing import Any, Final
from urllib.parse import urlsplit

import uvloop

from bench.http import request
from bench.load import closed_loop
from bench.pairs import Pair
from bench.worker import Run, serve

RESERVE: Final = b'{"quantity": "5", "currency": "BTC"}'


def pair(url: str) -> Pair:
    path = f"/allocation/{uuid.uuid4()}"
    clear = f"POST {path}/clear HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Length: 0\r\n\r\n"
    return Pair(request("POST", url, f"{path}/reserve", "", RESERVE), clear.encode())


async def run(url: str) -> None:
    async def prepare(job: dict[str, Any]) -> Run:
        ready = [pair(url) for _ in range(job["pairs"])]

        async def measure() -> dict[str, Any]:
            return (await closed_loop(url, ready, job["clients"])).document()

        return measure

    await serve(prepare)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
