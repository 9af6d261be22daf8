"""`make bench-adjustments`: adjustments alone, then a thousand a second on a hundred accounts beside BitGo's pairs.

Pairs alone and pairs beside the stream take turns, so that a machine that drifts counts for neither.
"""

import asyncio
import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import aiohttp
import click

from bench.figures import percentile
from bench.progress import progress
from bench.stack import Shape, Stack, running
from bench.tables import table
from bench.worker import Worker, worker

ACCOUNTS: Final = [str(uuid.UUID(int=number, version=4)) for number in range(100)]
BATCH: Final = 100
"""Adjustments in one request."""
SENDERS: Final = 8


@dataclass
class Sent:
    """What a stream was answered. Latencies of requests, in milliseconds."""

    booked: int = 0
    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return self.booked / self.seconds


@click.command()
@click.option("--rate", default=1000, show_default=True, type=click.IntRange(1), help="adjustments a second")
@click.option("--clients", default=8, show_default=True, type=click.IntRange(1), help="of the pairs beside them")
@click.option("--rounds", "count", default=5, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=3.0, show_default=True, type=click.FloatRange(0.5), help="length of a slice")
def adjustments(*, rate: int, clients: int, count: int, seconds: float) -> None:
    """Measure adjustments per second, and what a stream of them does to BitGo's calls."""
    click.echo(asyncio.run(_measure(rate, clients, count, seconds)))


async def _measure(rate: int, clients: int, count: int, seconds: float) -> str:
    alone, beside, streams, most = [], [], [], []
    async with (
        running(Shape()) as stack,
        _session(stack) as session,
        worker("bench.client", stack.url, stack.key) as load,
    ):
        await _closed(session, 1.0)
        await _pairs(load, clients, pairs=clients * 60)
        with progress(3 * count, "adjusting") as done:
            for _ in range(count):
                most.append(await _closed(session, seconds))
                done(f"{most[-1].rate:.0f} adjustments/s")
                alone.append(await _pairs(load, clients, pairs=round(seconds * 150)))
                done(f"{alone[-1]['rate']:.0f} pairs/s alone")
                found, stream = await _beside(session, load, rate, clients, round(seconds * 150))
                beside.append(found)
                streams.append(stream)
                done(f"{found['rate']:.0f} pairs/s beside {stream.rate:.0f} adjustments/s")
    return _table(rate, alone, beside, streams, most)


@asynccontextmanager
async def _session(stack: Stack) -> AsyncIterator[aiohttp.ClientSession]:
    token = await asyncio.to_thread(Path(stack.description["operatorTokenFile"]).read_text)
    headers = {"Authorization": f"Bearer {token.strip()}"}
    async with aiohttp.ClientSession(stack.url, headers=headers) as session:
        yield session


async def _closed(session: aiohttp.ClientSession, seconds: float) -> Sent:
    """As many as there can be: each sender sends its next batch when the last was answered."""
    sent, started = Sent(), time.perf_counter()

    async def sender() -> None:
        while time.perf_counter() - started < seconds:
            await _send(session, sent)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    sent.seconds = time.perf_counter() - started
    return sent


async def _beside(
    session: aiohttp.ClientSession, load: Worker, rate: int, clients: int, pairs: int
) -> tuple[dict[str, float], Sent]:
    """Pairs, while adjustments are sent at a fixed rate, whatever happens."""
    sent, started = Sent(), time.perf_counter()

    async def stream() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(1_000_000):
                await asyncio.sleep(started + number * BATCH / rate - time.perf_counter())
                tasks.create_task(_send(session, sent))

    streaming = asyncio.create_task(stream())
    found = await _pairs(load, clients, pairs)
    streaming.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await streaming
    sent.seconds = time.perf_counter() - started
    return found, sent


async def _send(session: aiohttp.ClientSession, sent: Sent) -> None:
    started = time.perf_counter()
    async with session.post("/platform/v1/adjustments/batch", json={"adjustments": _batch()}) as response:
        results = (await response.json()).get("results", [])
    sent.latencies.append((time.perf_counter() - started) * 1000)
    told = Counter(each.get("code", each["status"]) for each in results) or Counter({str(response.status): BATCH})
    sent.booked += told.pop("booked", 0)
    sent.others += told


def _batch() -> list[dict[str, Any]]:
    """Of two currencies each, both gains: so that none is refused."""
    return [
        {
            "adjustmentId": str(uuid.uuid4()),
            "connectionId": random.choice(ACCOUNTS),
            "reason": "trade",
            "entries": [{"currency": currency, "quantity": random.randint(1, 1000)} for currency in ("BTC", "ETH")],
        }
        for _ in range(BATCH)
    ]


async def _pairs(load: Worker, clients: int, pairs: int) -> dict[str, float]:
    await load.prepare({"pairs": pairs, "clients": clients})
    found = await load.run()
    reserves = sorted(found["reserve"])
    return {
        "rate": len(reserves) / found["seconds"],
        "p50": percentile(reserves, 0.5),
        "p99": percentile(reserves, 0.99),
        "wrong": float(sum(found["wrong"].values())),
    }


def _table(
    rate: int, alone: list[dict[str, float]], beside: list[dict[str, float]], streams: list[Sent], most: list[Sent]
) -> str:
    def words(found: list[dict[str, float]]) -> list[str]:
        return [f"{median(each[name] for each in found):.0f}" for name in ("rate", "p50", "p99")]

    def sent(streams: list[Sent]) -> list[str]:
        latencies = sorted(each for stream in streams for each in stream.latencies)
        rates = median(stream.rate for stream in streams)
        return [f"{rates:.0f}", f"{percentile(latencies, 0.5):.0f}", f"{percentile(latencies, 0.99):.0f}"]

    none = ["", "", ""]
    rows = [
        ["adjustments alone", *sent(most), *none],
        ["pairs alone", *none, *words(alone)],
        [f"pairs beside {rate} adjustments/s", *sent(streams), *words(beside)],
    ]
    heads = ["", "adjustments/s", "a request, p50, ms", "p99, ms", "pairs/s", "reserve p50, ms", "p99, ms"]
    others = sum((stream.others for stream in (*most, *streams)), Counter[str]())
    wrong = sum(each["wrong"] for each in (*alone, *beside))
    return f"{table(heads, rows)}\n\nnot booked: {dict(others)}; wrong answers to pairs: {wrong:.0f}"
