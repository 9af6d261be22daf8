"""A day of a trading platform, while processes are killed: adjustments among allocations and deallocations, clients who
come and go, and a policy of the platform's own that fails.

Its size: `TRADING_DAY` = number of adjustments, a tenth as many reserves, a 250th as many accounts and changes of
connections.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.faults.conftest import Machine
from tests.faults.day.callers import Callers
from tests.faults.day.connecting import Connecting
from tests.faults.day.trading import Trading
from tests.proof.conftest import on_database, rebuild, verify
from tests.support.operator import Operator
from tests.support.servers import Servers
from tests.support.system import System

ADJUSTMENTS: Final = int(os.environ.get("TRADING_DAY", "2500"))
RESERVES: Final = ADJUSTMENTS // 10
ACCOUNTS: Final = max(ADJUSTMENTS // 250, 10)
KILL_SECONDS: Final = 2.0
SERVERS: Final = ("kafka", "postgres")
SETTINGS: Final = {
    "connections": "registered",
    "policy": "tests.support.policy:decide",
    "policy_timeout_seconds": "0.5",
}
TABLES: Final = ("account", "allocation", "adjustment", "connection", "platform_account", "ledger", "journal")


@pytest.mark.timeout(3600)
async def test_a_trading_day_with_kills_leaves_what_its_answers_say(
    machine: Machine, fragile: System, servers: Servers, template: str, tmp_path: Path
) -> None:
    async with callers_of(fragile) as callers:
        trading = Trading(callers)
        await trading.open_accounts(ACCOUNTS)
        connecting = Connecting(callers, trading)
        day = asyncio.gather(
            *(trading.adjust(ADJUSTMENTS // 4) for _ in range(4)),
            *(trading.move_assets(RESERVES // 8) for _ in range(8)),
            connecting.come_and_go(ACCOUNTS),
        )
        async with asyncio.TaskGroup() as tasks:
            killing = tasks.create_task(kill(fragile, machine, callers.dice, day))
            await day
        await trading.make_sure()
        print("killed:", *killing.result().items(), "answers:", *sorted(callers.told.items()), sep="\n  ")
        for name in fragile.health:
            await fragile.ready(name)
        await fragile.caught_up()
    the_tables_are_the_model(fragile, trading, connecting)
    await all_events_are_published(fragile)
    verified = await verify(fragile)
    assert 0 == verified.status, verified
    await fragile.supervisor.stop(list(fragile.health))
    with on_database(servers, fragile, tmp_path, template) as rebuilt:
        ran = await rebuild(rebuilt, PROCESSOR_CONNECTIONS="registered")
        assert 0 == ran.status, ran
        for table in TABLES:
            assert digest(fragile, table) == digest(rebuilt, table), table


@asynccontextmanager
async def callers_of(system: System) -> AsyncIterator[Callers]:
    """Of two ingresses, with two processors behind them."""
    for number in range(2):
        await system.processor(f"processor-{number}", wait=False, **SETTINGS)
    async with AsyncExitStack() as stack:
        operators = [
            Operator(system, await stack.enter_async_context(await system.ingress(f"ingress-{number}", wait=False)))
            for number in range(2)
        ]
        for name in system.health:
            await system.ready(name)
        yield Callers(operators, random.Random(20261128))


async def kill(system: System, machine: Machine, dice: random.Random, day: "asyncio.Future[Any]") -> Counter[str]:
    """Kill one process after the other, a server now and then, until the day is over; returns how many of each."""
    killed: Counter[str] = Counter()
    names = [*system.health, *system.health, *SERVERS]
    while not (await asyncio.wait([day], timeout=KILL_SECONDS))[0]:
        name = dice.choice(names)
        if name in SERVERS:
            await machine.kill(name)
        else:
            await system.supervisor.restarted(name, system.kill(name))
        killed[name] += 1
    return killed


def the_tables_are_the_model(system: System, trading: Trading, connecting: Connecting) -> None:
    accounts = system.rows("SELECT connection_id::text, currency, available::text, held::text FROM account")
    found = {(row["connection_id"], row["currency"]): int(row["available"]) for row in accounts}
    assert dict(trading.available) == found
    assert {"0"} == {row["held"] for row in accounts}
    assert min(trading.available.values()) >= 0
    rows = system.rows("SELECT connection_id::text, partners_connection_id, status FROM connection")
    connections = {row["connection_id"]: (row["partners_connection_id"], row["status"]) for row in rows}
    assert connecting.connections == connections
    active = [account for account, status in connections.values() if status == "active"]
    assert len(active) == len(set(active)), "an account has one connection"


async def all_events_are_published(system: System) -> None:
    [events] = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")
    await system.records(system.topics.events, events["count"], 60)


def digest(system: System, table: str) -> Any:
    """Of all rows, in whatever order they are stored."""
    return system.rows(f"SELECT count(*), sum(hashtextextended(t::text, 0)) FROM {table} t")  # noqa: S608
