"""A day of a trading platform: adjustments among allocations and deallocations, while processes are killed.

Its size: `TRADING_DAY` = number of adjustments, a tenth as many reserves and a 250th as many accounts.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from bitgo.client import Reply, reserve_body
from schemas.words import Kind, Verb
from tests.faults.conftest import Machine
from tests.proof.conftest import on_database, rebuild, verify
from tests.support.operator import Operator, adjustment_body, fund, on
from tests.support.servers import Servers
from tests.support.system import System

ADJUSTMENTS: Final = int(os.environ.get("TRADING_DAY", "2500"))
RESERVES: Final = ADJUSTMENTS // 10
ACCOUNTS: Final = max(ADJUSTMENTS // 250, 10)
AT_ONCE: Final = 250
KILL_SECONDS: Final = 4.0
DEADLINE_SECONDS: Final = 16
"""A command that reaches the log later changes nothing."""
START: Final = 1000
SERVERS: Final = ("kafka", "postgres")
CURRENCIES: Final = ("BTC", "ETH")
TABLES: Final = ("account", "allocation", "adjustment", "connection", "platform_account", "ledger", "journal")
Call = Callable[[Operator], Awaitable[Reply]]


def reserving(kind: Kind, body: dict[str, Any]) -> Call:
    return lambda caller: caller.bitgo.reserve(kind, body)


def finishing(kind: Kind, verb: Verb, allocation_id: str) -> Call:
    return lambda caller: caller.bitgo.finish(kind, verb, allocation_id)


class Day:
    """The platform, BitGo, and the model: what each answer says is added to the balances that it is about."""

    def __init__(self, callers: list[Operator], seed: int) -> None:
        self.callers = callers
        self.dice = random.Random(seed)
        self.connections: list[dict[str, str]] = []
        self.available: Counter[tuple[str, str]] = Counter()
        self.told: Counter[str] = Counter()
        self.unsure: list[dict[str, Any]] = []
        """Refused after a request that may still have reached the log behind it."""
        self.is_over = False

    async def open_accounts(self) -> None:
        for _ in range(ACCOUNTS):
            connection = await self.callers[0].connected()
            self.connections.append(connection)
            for currency in CURRENCIES:
                await fund(self.callers[0].bitgo, connection, START, currency)
                self.available[connection["connectionId"], currency] += START

    async def trade(self, count: int) -> None:
        """Adjustments in batches; what is not answered is sent again, until it is."""
        waiting, pending = [self.adjustment() for _ in range(count)], set[str]()
        while waiting:
            part, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            unanswered = self.told["no answer"]
            for body, result in zip(part, await self.batch(part), strict=True):
                code, own = result.get("code", result["status"]), body["adjustmentId"]
                self.told[f"adjust: {code}"] += 1
                if self.told["no answer"] > unanswered:
                    pending.add(own)
                if code == "booked":
                    self.book(body)
                elif code != "insufficient_balance":
                    waiting.append(body)
                    pending.add(own)
                elif own in pending:
                    self.unsure.append(body)

    def book(self, body: dict[str, Any]) -> None:
        for entry in body["entries"]:
            self.available[body["connectionId"], entry["currency"]] += entry["quantity"]

    async def make_sure(self) -> None:
        """What became of those of which an earlier request may have come after the refusal."""
        if self.unsure:
            await asyncio.sleep(DEADLINE_SECONDS)
        for body in self.unsure:
            path = f"/adjustments/{body['adjustmentId']}"
            found = await self.until_answered(lambda caller, path=path: caller.call("GET", path))  # type: ignore[misc]
            self.told[f"unsure: {found.status}"] += 1
            if found.status == 200:
                self.book(body)

    def adjustment(self) -> dict[str, Any]:
        currencies = self.dice.sample(CURRENCIES, self.dice.choice((1, 2)))
        changes = {each: self.dice.choice((-1, 1)) * self.dice.randint(1, START) for each in currencies}
        return adjustment_body(self.dice.choice(self.connections)["connectionId"], changes)

    async def batch(self, part: list[dict[str, Any]]) -> list[dict[str, Any]]:
        reply = await self.until_answered(
            lambda caller: caller.call("POST", "/adjustments/batch", json={"adjustments": part})
        )
        assert 200 == reply.status, reply.body
        results: list[dict[str, Any]] = reply.body["results"]
        return results

    async def move_assets(self, count: int) -> None:
        """Allocations and deallocations of BitGo's, each cleared or released."""
        for _ in range(count):
            kind, currency = self.dice.choice(list(Kind)), self.dice.choice(CURRENCIES)
            verb, quantity = self.dice.choice((Verb.CLEAR, Verb.CLEAR, Verb.RELEASE)), self.dice.randint(1, START // 2)
            connection = self.dice.choice(self.connections)
            body = reserve_body(kind, quantity, currency=currency, **on(connection))
            reserved = await self.asked(reserving(kind, body))
            self.told[f"{kind}: {reserved['status']}"] += 1
            if reserved["status"] != "reserved":
                continue
            await self.asked(finishing(kind, verb, body[f"{kind}Id"]))
            if verb is Verb.CLEAR:
                key = connection["connectionId"], currency
                self.available[key] += quantity if kind is Kind.ALLOCATION else -quantity

    async def asked(self, call: Call) -> Mapping[str, Any]:
        reply = await self.until_answered(call)
        assert 200 == reply.status, reply.body
        body: Mapping[str, Any] = reply.body
        return body

    async def until_answered(self, call: Call) -> Reply:
        async with asyncio.timeout(120):
            while True:
                try:
                    reply = await call(self.dice.choice(self.callers))
                except (aiohttp.ClientError, TimeoutError):
                    self.told["no answer"] += 1
                else:
                    if reply.status != 503:
                        return reply
                    self.told[reply.body["code"]] += 1
                await asyncio.sleep(0.2)

    async def kill(self, system: System, machine: Machine) -> Counter[str]:
        """Kill one process after the other, a server now and then, until the day is over; returns how many of each."""
        killed: Counter[str] = Counter()
        names = [*system.health, *system.health, *SERVERS]
        while not self.is_over:
            await asyncio.sleep(KILL_SECONDS)
            name = self.dice.choice(names)
            if name in SERVERS:
                await machine.kill(name)
            else:
                await system.supervisor.restarted(name, system.kill(name))
            killed[name] += 1
        return killed


@pytest.mark.timeout(3600)
async def test_a_trading_day_with_kills_leaves_what_its_answers_say(
    machine: Machine, fragile: System, servers: Servers, template: str, tmp_path: Path
) -> None:
    for number in range(2):
        await fragile.processor(f"processor-{number}", connections="registered", wait=False)
    async with AsyncExitStack() as stack:
        callers = [
            Operator(fragile, await stack.enter_async_context(await fragile.ingress(f"ingress-{number}", wait=False)))
            for number in range(2)
        ]
        for name in fragile.health:
            await fragile.ready(name)
        day = Day(callers, seed=20261128)
        await day.open_accounts()
        async with asyncio.TaskGroup() as tasks:
            killing = tasks.create_task(day.kill(fragile, machine))
            await asyncio.gather(
                *(day.trade(ADJUSTMENTS // 4) for _ in range(4)), *(day.move_assets(RESERVES // 8) for _ in range(8))
            )
            day.is_over = True
        await day.make_sure()
        print("killed:", *killing.result().items(), "answers:", *sorted(day.told.items()), sep="\n  ")
        for name in fragile.health:
            await fragile.ready(name)
        await fragile.caught_up()
    found = fragile.rows("SELECT connection_id::text, currency, available::text, held::text FROM account")
    assert dict(day.available) == {(row["connection_id"], row["currency"]): int(row["available"]) for row in found}
    assert {"0"} == {row["held"] for row in found}
    assert min(day.available.values()) >= 0
    await all_events_are_published(fragile)
    verified = await verify(fragile)
    assert 0 == verified.status, verified
    await fragile.supervisor.stop(list(fragile.health))
    with on_database(servers, fragile, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, PROCESSOR_CONNECTIONS="registered")
        assert 0 == ran.status, ran
        for table in TABLES:
            assert digest(fragile, table) == digest(rebuilt, table), table


async def all_events_are_published(system: System) -> None:
    [events] = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")
    await system.records(system.topics.events, events["count"], 60)


def digest(system: System, table: str) -> Any:
    """Of all rows, in whatever order they are stored."""
    return system.rows(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t")  # noqa: S608
