"""The load generator, a process of its own: `python -m bench.client URL KEY`."""

import sys
from pathlib import Path
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bench.load import closed_loop, open_loop
from bench.pairs import pairs
from bench.worker import Run, serve
from bitgo.client import load_private_key


async def run(url: str, key: RSAPrivateKey) -> None:

    async def prepare(job: dict[str, Any]) -> Run:
        ready = pairs(url, key, job["pairs"])

        async def measure() -> dict[str, Any]:
            if "clients" in job:
                timings = await closed_loop(url, ready, job["clients"], trace=job.get("trace", False))
            else:
                timings = await open_loop(url, ready, job["pairs_per_second"])
            return timings.document()

        return measure

    await serve(prepare)


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1], load_private_key(Path(sys.argv[2]).read_bytes())))
