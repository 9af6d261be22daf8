"""An ingress with short limits, a caller of good faith beside the others, and a look at its log at the end."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from bitgo.client import SIGNATURE, BitGo, reserve_body
from schemas.words import Kind
from tests.support.servers import Servers
from tests.support.system import System, shared_system

RECEIVE_SECONDS = 1.0
IDLE_SECONDS = 1.5
CONNECTIONS = 40
INTERNALS = (b"Traceback", b"aiohttp", b"Python", b'File "', b"ingress/", b"kafka", b"postgres")


@dataclass
class LimitedIngress:
    """An ingress with short limits, and a caller of good faith."""

    system: System
    bitgo: BitGo

    @property
    def url(self) -> str:
        return self.system.urls["ingress-0"]

    async def answers(self) -> None:
        async with BitGo(self.url, self.bitgo.key) as bitgo:
            await answers(bitgo)

    async def status_of(self, body: dict[str, Any]) -> int:
        async with BitGo(self.url, self.bitgo.key) as bitgo:
            return (await bitgo.status(Kind.ALLOCATION, body["allocationId"])).status

    async def metric(self, name: str) -> float:
        return (await self.system.metrics("ingress-0")).get(name, 0)

    def request(self, body: bytes, *headers: str, signed: bool = True, length: int | None = None) -> bytes:
        """A reserve, as bytes."""
        lines = ["POST /bitgo/v1/allocations HTTP/1.1", "Host: partner", "Content-Type: application/json", *headers]
        if signed:
            lines.append(f"{SIGNATURE}: {self.bitgo.headers()[SIGNATURE]}")
        if not any(header.startswith("Transfer-Encoding") for header in headers):
            lines.append(f"Content-Length: {len(body) if length is None else length}")
        return "\r\n".join([*lines, "", ""]).encode() + body


async def answers(bitgo: BitGo) -> None:
    reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
    assert (200, "reserved") == (reply.status, reply.body["status"])


@pytest.fixture(scope="session")
async def limited(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LimitedIngress]:
    limits = {
        "receive_seconds": str(RECEIVE_SECONDS),
        "idle_seconds": str(IDLE_SECONDS),
        "connections_max": str(CONNECTIONS),
    }
    async with shared_system(servers, template, tmp_path_factory.mktemp("limited")) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(wait=False, **limits)
        for each in system.health:
            await system.ready(each)
        async with bitgo:
            yield LimitedIngress(system, bitgo)
        lines = system.log("ingress-0").read_text().splitlines()
        assert [] == [line for line in lines if "Traceback" in line or '"request_failed"' in line]


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def is_a_short_no(answer: bytes) -> bool:
    """A plain 4xx, a problem document, or nothing; never a word about what runs here."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert not [word for word in INTERNALS if word in answer], answer
    assert len(answer) < 4096
    if b"application/problem+json" in head:
        assert {"type", "title", "status", "detail", "code", "error"} <= json.loads(body).keys()
    return 400 <= status(answer) < 500 or status(answer) in (0, 505)
