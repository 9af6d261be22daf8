"""Two ways to send pairs. Closed: each client sends its next request when the last was answered. Open: pairs start at a
fixed rate whatever happens, and a late start counts as waiting, because the latency is taken from the intended start
(otherwise a server that stalls is asked less, and looks quick).
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.http import Connection, connect, header
from bench.pairs import Pair

OPEN_CONNECTIONS_MAX: Final = 256


@dataclass
class Timings:
    """Latencies in milliseconds. `wrong` counts answers that are not the expected one, by status.

    `trace`, when there is one, has every request's place in the log and when it was sent and answered, for the stages.
    """

    seconds: float = 0.0
    reserve: list[float] = field(default_factory=list)
    clear: list[float] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    trace: list[tuple[str, float, float]] | None = None

    def document(self) -> dict[str, Any]:
        return asdict(self) | {"wrong": dict(self.wrong)}  # asdict would count the pairs of a Counter


async def closed_loop(url: str, pairs: Sequence[Pair], clients: int, *, trace: bool = False) -> Timings:
    timings, waiting = Timings(trace=[] if trace else None), iter(pairs)
    connections = [await connect(url) for _ in range(clients)]

    async def client(connection: Connection) -> None:
        for pair in waiting:
            await _send(connection, pair, timings, time.perf_counter())

    started = time.perf_counter()
    await asyncio.gather(*(client(connection) for connection in connections))
    timings.seconds = time.perf_counter() - started
    for connection in connections:
        connection.close()
    return timings


async def open_loop(
    url: str, pairs: Sequence[Pair], pairs_per_second: float, connections: int = OPEN_CONNECTIONS_MAX
) -> Timings:
    timings = Timings()
    free: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
    for _ in range(connections):
        free.put_nowait(None)

    async def one(pair: Pair, intended: float) -> None:
        connection = await free.get() or await connect(url)
        try:
            await _send(connection, pair, timings, intended)
        finally:
            free.put_nowait(connection)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number, pair in enumerate(pairs):
            intended = started + number / pairs_per_second
            await asyncio.sleep(intended - time.perf_counter())
            tasks.create_task(one(pair, intended))
    timings.seconds = time.perf_counter() - started
    while not free.empty():
        if connection := free.get_nowait():
            connection.close()
    return timings


async def _send(connection: Connection, pair: Pair, timings: Timings, started: float) -> None:
    between = await _ask(connection, pair.reserve, b'"reserved"', timings)
    ended = await _ask(connection, pair.clear, b'"cleared"', timings)
    timings.reserve.append((between - started) * 1000)
    timings.clear.append((ended - between) * 1000)


async def _ask(connection: Connection, request: bytes, expected: bytes, timings: Timings) -> float:
    """Gives the time of the answer."""
    sent = time.perf_counter()
    answer = await connection.ask(request)
    answered = time.perf_counter()
    if answer.status != 200 or expected not in answer.body:  # noqa: PLR2004
        timings.wrong[str(answer.status)] += 1
    if timings.trace is not None:
        timings.trace.append((header(answer.head, b"log-position").decode(), sent, answered))
    return answered
