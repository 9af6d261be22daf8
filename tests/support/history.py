"""A long and varied history of commands, published straight to the topic as an ingress would; its seed is printed."""

import asyncio
import hashlib
import random
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaProducer

from schemas.commands import (
    FINISHES,
    RESERVES,
    ActivateConnection,
    AdjustBalance,
    Amount,
    Command,
    DeactivateConnection,
    Edition,
    Entry,
    IssuedToken,
    ReactivateConnection,
    Reserve,
)
from schemas.records import encode_command, key_of
from schemas.topics import Topics, partition_of
from schemas.words import AfterFinal, Kind, Verb

LIMITED = "LIMITED"
CURRENCIES = ["BTC", "ETH", LIMITED]
UNFINISHED_MAX = 200
AT_ONCE = 2000
CLIENT = "11111111-1111-4111-8111-111111111111"
TRADERS = 8
PLATFORM_ACCOUNTS = ["platform-0", "platform é"]


class History:
    """Reserves and what follows them, of both kinds, on few accounts, out of step with each other.

    With `platform`, adjustments of these accounts, and connections that come and go on few accounts of the platform.
    With `opened` these connections have accounts from the beginning: the first `TRADERS` commands add to them what the
    next as many take away.
    """

    def __init__(
        self, generator: random.Random, accounts: int = 30, *, platform: bool = False, opened: bool = False
    ) -> None:
        self._generator = generator
        self._platform = platform
        self._adjustments: list[AdjustBalance] = []
        self._traders = [self._uuid() for _ in range(TRADERS)] if platform else []
        self._tokens = [f"{generator.getrandbits(256):064x}" for _ in range(3 * TRADERS)] if platform else []
        self._is_sure = not platform or opened
        """Whether there is, or need not be, an activation that is applied whatever else comes."""
        self._opening = [(trader, change) for change in ("1", "-1") for trader in self._traders] if opened else []
        self._accounts = [self._uuid() for _ in range(accounts)]
        self._unfinished: list[Reserve] = []
        self._seen: list[Reserve] = []

    def commands(self, count: int) -> Iterator[Command]:
        for _ in range(count):
            yield self._next() if self._is_sure else self._first()

    def _first(self) -> Command:
        self._is_sure = True
        return self._activate(self._traders[0], self._tokens[0], timedelta(hours=2))

    def _next(self) -> Command:
        if self._opening:
            return self._open(*self._opening.pop(0))
        if self._platform and self._generator.random() < 0.3:
            return self._adjust() if self._generator.random() < 0.6 else self._connect()
        chance = self._generator.random()
        if self._seen and chance < 0.05:
            return self._again()
        if chance < 0.07:
            return self._finish(self._reserve(), Verb.RELEASE)
        if self._unfinished and (chance < 0.5 or len(self._unfinished) > UNFINISHED_MAX):
            reserve = self._unfinished.pop(self._generator.randrange(len(self._unfinished)))
            return self._finish(reserve, Verb.CLEAR if self._generator.random() < 0.8 else Verb.RELEASE)
        reserve = self._reserve()
        self._unfinished.append(reserve)
        self._remember(reserve)
        return reserve

    def _open(self, trader: str, change: str) -> Command:
        return AdjustBalance(
            **self._times(),
            adjustment_id=self._uuid(),
            connection_id=trader,
            reason="opening",
            entries=tuple(Entry(currency=each, quantity=change) for each in sorted(CURRENCIES)),
        )

    def _adjust(self) -> Command:
        """A new one, a repeat, or other content under the id of one before."""
        generator = self._generator
        if self._adjustments and generator.random() < 0.1:
            earlier = generator.choice(self._adjustments)
            other = {"reason": "other"} if generator.random() < 0.5 else {}
            return earlier.model_copy(update=self._times() | other)
        currencies = sorted(generator.sample(CURRENCIES, generator.randint(1, 3)))
        adjustment = AdjustBalance(
            **self._times(),
            adjustment_id=self._uuid(),
            connection_id=generator.choice(self._accounts + self._traders),
            reason="trade é",
            entries=tuple(
                Entry(currency=each, quantity=str(generator.choice([1, 1, -1]) * generator.randint(1, 100)))
                for each in currencies
            ),
        )
        self._adjustments.append(adjustment)
        return adjustment

    def _connect(self) -> Command:
        generator, trader = self._generator, self._generator.choice(self._traders)
        way = generator.randrange(4)
        if way == 0:
            return DeactivateConnection(**self._times(), connection_id=trader, asked_by="operator")
        if way == 1:
            return ReactivateConnection(**self._times(), connection_id=trader, asked_by="operator")
        lifetime = timedelta(hours=generator.choice([-1, 2, 2, 2]))
        return self._activate(trader, generator.choice(self._tokens), lifetime, is_known=generator.random() < 0.9)

    def _activate(self, trader: str, token: str, lifetime: timedelta, *, is_known: bool = True) -> Command:
        issued = IssuedToken(
            partners_connection_id=PLATFORM_ACCOUNTS[int(token, 16) % len(PLATFORM_ACCOUNTS)],
            partners_client_id="user",
            expires_at=datetime.now(UTC) + lifetime,
        )
        return ActivateConnection(
            **self._times(),
            connection_id=trader,
            client_id=CLIENT,
            client_wallet_id=self._generator.choice([None, "wallet"]),
            token_hash=hashlib.sha256(token.encode()).hexdigest(),
            issued=issued if is_known else None,
        )

    def _again(self) -> Command:
        """A repeat, a re-issue, other content, an id of the other kind, or what is too late."""
        reserve = self._generator.choice(self._seen)
        stamps = self._stamps(reserve.allocation_id)
        way = self._generator.randrange(5)
        if way == 0:
            return reserve.model_copy(update=stamps | {"amount": Amount(currency="BTC", quantity="77")})
        if way == 1:
            return self._reserve(of=reserve.allocation_id)
        if way == 2:
            return reserve.model_copy(update=stamps | {"deadline": datetime(2020, 1, 1, tzinfo=UTC)})
        if way == 3:
            return self._finish(reserve, self._generator.choice([Verb.CLEAR, Verb.RELEASE]))
        return reserve.model_copy(update=stamps)

    def _reserve(self, of: str | None = None) -> Reserve:
        generator = self._generator
        kind = generator.choice([Kind.ALLOCATION, Kind.ALLOCATION, Kind.DEALLOCATION])
        by_trader = bool(self._traders) and generator.random() < 0.3
        reserve = RESERVES[kind](
            **self._stamps(of or self._uuid()),
            amount=Amount(currency=generator.choice(CURRENCIES), quantity=str(generator.randint(1, 150))),
            client_id=CLIENT if by_trader else self._uuid(),
            connection_id=generator.choice(self._traders if by_trader else self._accounts),
            partners_connection_id=generator.choice(PLATFORM_ACCOUNTS) if by_trader else "account é",
            partner_client_id=None if by_trader else generator.choice([None, "", "client"]),
            notes=generator.choice([None, "a note"]),
            edition=Edition(quantity_form="string"),
            after_final=generator.choice(list(AfterFinal)),
        )
        assert isinstance(reserve, Reserve)
        return reserve

    def _finish(self, reserve: Reserve, verb: Verb) -> Command:
        return FINISHES[reserve.kind, verb](**self._stamps(reserve.allocation_id))

    def _stamps(self, allocation_id: str) -> dict[str, Any]:
        return {"allocation_id": allocation_id} | self._times()

    def _times(self) -> dict[str, Any]:
        now = datetime.now(UTC)
        return {"command_id": self._uuid(), "received_at": now, "deadline": now + timedelta(hours=2)}

    def _remember(self, reserve: Reserve) -> None:
        self._seen.append(reserve)
        if len(self._seen) > 2 * UNFINISHED_MAX:
            del self._seen[:UNFINISHED_MAX]

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._generator.getrandbits(128), version=4))


async def publish(producer: AIOKafkaProducer, topics: Topics, partitions: int, history: History, count: int) -> None:
    """Publish the next commands of a history, as fast as the broker takes them, and one record of junk a thousand."""
    sent = []
    headers = [("traceparent", b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01")]
    for number, command in enumerate(history.commands(count)):
        key = key_of(command.subject_id)
        where = {"topic": topics.commands, "partition": partition_of(key, partitions)}
        junk = number % 1000 == 500
        value = b"\x00junk" if junk else encode_command(command)
        sent.append(await producer.send(**where, key=key, value=value, headers=headers if number % 2 else []))
        if len(sent) >= AT_ONCE:
            await asyncio.gather(*sent)
            sent.clear()
    await asyncio.gather(*sent)
