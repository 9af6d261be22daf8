"""What BitGo does in good and in bad hours: the life of an allocation, with repeats, races and contradictions.

Some of it on a few accounts and a few deallocations that all clients share.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from bitgo.client import reserve_body
from schemas.words import Kind, Verb
from tests.faults.run.caller import Ask, Caller

LIMITED: Final = "LIMITED"
LIMIT: Final = 100
HOT_ACCOUNTS: Final = 4
HOT_DEALLOCATIONS: Final = 3
HOT_USES: Final = 150
THINK_SECONDS: Final = 0.01
ENOUGH: Final = 400
"""Attempts at what has to be answered in the end; the run's own time limit comes before."""


@dataclass
class World:
    """What the clients share: accounts, and deallocations that live for so many uses."""

    random: Random
    accounts: list[dict[str, str]] = field(default_factory=list)
    hot: list[tuple[dict[str, Any], list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accounts = [_account() for _ in range(HOT_ACCOUNTS)]
        self.hot = [self._deallocation() for _ in range(HOT_DEALLOCATIONS)]

    def _deallocation(self) -> tuple[dict[str, Any], list[int]]:
        return reserve_body(Kind.DEALLOCATION, 3, **self.random.choice(self.accounts)), [0]

    def hot_deallocation(self) -> dict[str, Any]:
        place = self.random.randrange(len(self.hot))
        body, used = self.hot[place]
        used[0] += 1
        if used[0] > HOT_USES:
            self.hot[place] = self._deallocation()
        return body


def _account() -> dict[str, str]:
    return {"clientId": str(uuid.uuid4()), "connectionId": str(uuid.uuid4())}


class Stories:
    def __init__(self, caller: Caller, world: World) -> None:
        self._caller = caller
        self._world = world
        self._random = caller.random
        self._all: Sequence[tuple[int, Callable[[], Awaitable[None]]]] = (
            (66, self._life),
            (8, self._overtaken),
            (10, self._on_a_hot_one),
            (10, self._answered_later),
            (6, self._turned_down),
        )

    async def tell(self, over: asyncio.Event) -> None:
        """One story after the other; the last one is told to its end."""
        weights, stories = zip(*self._all, strict=True)
        while not over.is_set():
            await self._random.choices(stories, weights)[0]()
            await asyncio.sleep(self._random.uniform(0, 2 * THINK_SECONDS))

    async def _life(self) -> None:
        kind = self._random.choices([Kind.ALLOCATION, Kind.DEALLOCATION], (65, 35))[0]
        body = self._body(kind)
        if await self._reserved(kind, body):
            for _ in range(self._random.randint(1, 4)):
                await self._something(kind, body)

    async def _reserved(self, kind: Kind, body: dict[str, Any]) -> bool:
        """A reserve that is not answered for a few attempts is given up, and released."""
        if await self._caller.insist(reserve(kind, body), self._random.randint(2, 5)) is not None:
            return True
        await self._caller.insist(Ask(kind, Verb.RELEASE, body[f"{kind}Id"]), ENOUGH)
        return False

    async def _something(self, kind: Kind, body: dict[str, Any]) -> None:
        clear, release, read = (Ask(kind, verb, body[f"{kind}Id"]) for verb in (Verb.CLEAR, Verb.RELEASE, "read"))
        chance = self._random.random()
        if chance < 0.42:
            await self._caller.insist(self._random.choice([clear, clear, release]), ENOUGH)
        elif chance < 0.60:
            await self._caller.at_once(clear, release, read)
        elif chance < 0.68:
            await self._caller.at_once(reserve(kind, body), reserve(kind, body), patience=3)
        elif chance < 0.74:
            await self._contradict(kind, body)
        elif chance < 0.80:
            await self._use_a_token_twice(clear)
        else:
            await self._caller.call(read)

    async def _contradict(self, kind: Kind, body: dict[str, Any]) -> None:
        """The same id with another amount, or as the other kind."""
        other = Kind.DEALLOCATION if kind is Kind.ALLOCATION else Kind.ALLOCATION
        renamed = {
            name: value for name, value in body.items() if name not in (f"{kind}Id", f"partner{kind.capitalize()}Id")
        }
        wrong = self._random.choice(
            [
                reserve(kind, body | {"amount": body["amount"] | {"quantity": body["amount"]["quantity"] + 1}}),
                reserve(other, renamed | {f"{other}Id": body[f"{kind}Id"]}),
                Ask(other, Verb.CLEAR, body[f"{kind}Id"]),
            ]
        )
        await self._caller.insist(wrong, 2)

    async def _use_a_token_twice(self, ask: Ask) -> None:
        once = Ask(ask.kind, ask.verb, ask.id, jti=str(uuid.uuid4()))
        if self._random.random() < 0.5:
            await asyncio.gather(self._caller.call(once), self._caller.call(once))
        else:
            await self._caller.call(once)
            await self._caller.call(once)

    async def _overtaken(self) -> None:
        """The release comes before its reserve, or at the same time."""
        kind = self._random.choice(list(Kind))
        body = self._body(kind)
        release = Ask(kind, Verb.RELEASE, body[f"{kind}Id"])
        if self._random.random() < 0.5:
            await self._caller.at_once(release, reserve(kind, body), patience=3)
        else:
            await self._caller.insist(release, 5)
            await self._caller.insist(reserve(kind, body), 5)
        await self._caller.insist(release, ENOUGH)

    async def _on_a_hot_one(self) -> None:
        body = self._world.hot_deallocation()
        for _ in range(3):
            verb = self._random.choice([Verb.RESERVE, Verb.RESERVE, Verb.CLEAR, Verb.RELEASE, Verb.RELEASE, "read"])
            ask = Ask(Kind.DEALLOCATION, verb, body["deallocationId"])
            await self._caller.insist(reserve(Kind.DEALLOCATION, body) if verb is Verb.RESERVE else ask, 2)

    async def _answered_later(self) -> None:
        """`Prefer: respond-async`: 202 at once, and the outcome from its location."""
        kind = self._random.choice(list(Kind))
        body = self._body(kind)
        finish = Ask(kind, self._random.choice([Verb.CLEAR, Verb.RELEASE]), body[f"{kind}Id"], respond_async=True)
        for ask in (reserve(kind, body, respond_async=True), finish):
            reply = await self._caller.insist(ask, 5)
            if reply is not None and reply.status == 202 and self._random.random() < 0.7:
                await self._caller.insist(ask.answered_later(reply), 10)

    async def _turned_down(self) -> None:
        body = self._body(Kind.ALLOCATION, LIMIT + self._random.randint(0, 1), currency=LIMITED)
        if await self._reserved(Kind.ALLOCATION, body):
            await self._something(Kind.ALLOCATION, body)

    def _body(self, kind: Kind, quantity: int | None = None, **fields: Any) -> dict[str, Any]:
        hot = kind is Kind.DEALLOCATION or self._random.random() < 0.3
        account = self._random.choice(self._world.accounts) if hot else _account()
        most = 20 if kind is Kind.DEALLOCATION else 60
        return reserve_body(kind, quantity or self._random.randint(1, most), **account | fields)


def reserve(kind: Kind, body: dict[str, Any], *, respond_async: bool = False) -> Ask:
    return Ask(kind, Verb.RESERVE, body[f"{kind}Id"], body, respond_async=respond_async)
