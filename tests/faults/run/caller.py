"""One of BitGo's workers: signs, calls, gives up waiting, calls again with a new token. Every call is written down."""

import asyncio
import random
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import aiohttp

from bitgo.client import BitGo, Reply
from schemas.words import Kind, Verb
from tests.faults.run.history import NO_ANSWER, History

KEPT_HEADERS: Final = ("Command-Id", "Log-Position", "Allocation-Version")


@dataclass(frozen=True)
class Ask:
    """`verb` is reserve, clear or release; read; or await, which is a read at a `position`."""

    kind: Kind
    verb: str
    id: str
    body: dict[str, Any] | None = None
    jti: str | None = None
    respond_async: bool = False
    location: str | None = None

    @property
    def request(self) -> tuple[str, str]:
        if self.verb == Verb.RESERVE:
            return "POST", f"/bitgo/v1/{self.kind}s"
        if self.verb in (Verb.CLEAR, Verb.RELEASE):
            return "PUT", f"/bitgo/v1/{self.kind}/{self.id}/{self.verb}"
        return "GET", self.location or f"/bitgo/v1/{self.kind}/{self.id}"

    def answered_later(self, reply: Reply) -> "Ask":
        """The read that a 202 points at."""
        return replace(self, verb="await", body=None, jti=None, respond_async=False, location=reply.headers["Location"])


@dataclass(frozen=True)
class Caller:
    number: int
    bitgo: BitGo
    history: History
    random: random.Random

    async def call(self, ask: Ask) -> Reply | None:
        """One call; None when no answer came."""
        trace, jti = uuid.uuid4().hex, ask.jti or str(uuid.uuid4())
        headers = self.bitgo.headers(jti=jti) | {"traceparent": f"00-{trace}-{trace[:16]}-01"}
        if ask.respond_async:
            headers["Prefer"] = "respond-async"
        line: dict[str, Any] = {
            "trace": trace,
            "client": self.number,
            "kind": ask.kind,
            "verb": ask.verb,
            "id": ask.id,
            "body": ask.body,
            "jti": jti,
            "shared": ask.jti is not None,
            "start": time.monotonic(),
        }
        method, path = ask.request
        try:
            reply = await self.bitgo.call(method, path, headers, json=ask.body)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ValueError) as error:
            line["error"] = type(error).__name__
            return None
        else:
            kept = {name: reply.headers[name] for name in KEPT_HEADERS if name in reply.headers}
            line |= {"end": time.monotonic(), "status": reply.status, "headers": kept, "answer": reply.body}
            return reply
        finally:
            self.history.write(line)

    async def insist(self, ask: Ask, patience: int) -> Reply | None:
        """The same request again, each time with a new token, until it has an answer or patience is out."""
        for _ in range(patience):
            reply = await self.call(ask)
            if reply is not None and reply.status not in NO_ANSWER:
                return reply
            await asyncio.sleep(self.random.uniform(0.1, 0.5))
        return None

    async def at_once(self, *asks: Ask, patience: int = 1) -> Sequence[Reply | None]:
        return await asyncio.gather(*[self.insist(ask, patience) for ask in asks])
