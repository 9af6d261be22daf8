"""Ten thousand callers that say nothing, and one that does: what they cost, and what is left of it afterwards."""

import asyncio
import resource
import statistics
import time
from pathlib import Path

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.support.raw import crowd, line_to
from tests.support.system import System

CROWD = 10_000
OTHER_FILES = 1000
BYTES_EACH_MAX = 40_000
SLOW_WRITERS = 300


def held_by(pid: int) -> tuple[int, int]:
    """Resident bytes and open files of a process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize(), len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def latencies(bitgo: BitGo, count: int) -> list[float]:
    found = []
    for _ in range(count):
        started = time.perf_counter()
        reply = await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))
        assert (200, "reserved") == (reply.status, reply.body["status"])
        found.append(time.perf_counter() - started)
    return found


def told(seconds: list[float]) -> str:
    return f"p50 {statistics.median(seconds) * 1000:.1f} ms, worst {max(seconds) * 1000:.1f} ms"


async def test_a_crowd_that_says_nothing(fragile: System) -> None:
    count = min(CROWD, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - OTHER_FILES)
    await fragile.processor()
    limits = {"connections_max": str(CROWD + 100), "receive_seconds": "30", "idle_seconds": "60"}
    async with await fragile.ingress(**limits) as bitgo:
        pid = fragile.supervisor.pids()["ingress-0"]
        before = await latencies(bitgo, 200)
        memory, files = held_by(pid)
        async with crowd(bitgo.url, count) as held, asyncio.TaskGroup() as tasks:
            assert count == held
            for _ in range(SLOW_WRITERS):
                tasks.create_task(_write_slowly(bitgo.url))
            during = await latencies(bitgo, 200)
            crowded, crowded_files = held_by(pid)
            assert (200, {"status": "ready"}) == await fragile.readyz("ingress-0")
            connections = (await fragile.metrics("ingress-0"))["ingress_connections"]
            each = (crowded - memory) / (crowded_files - files)
            print(f"without: {told(before)}; among {connections:.0f} connections: {told(during)}")
            print(f"{each / 1024:.1f} KiB for each connection, {crowded / 2**20:.0f} MiB in all")
        async with asyncio.timeout(60):
            while held_by(pid)[1] > files + 5:
                await asyncio.sleep(0.2)
        after = await latencies(bitgo, 200)
        print(f"afterwards: {told(after)}, {held_by(pid)[0] / 2**20:.0f} MiB")
    assert connections >= count
    assert each < BYTES_EACH_MAX
    assert statistics.median(during) < 3 * statistics.median(before) + 0.01
    assert "Traceback" not in fragile.log("ingress-0").read_text()


async def _write_slowly(url: str) -> None:
    async with line_to(url) as line:
        await line.trickle(b"POST /bitgo/v1/allocations HTTP/1.1\r\n", 0.1)


async def test_a_crowd_above_the_limit_of_the_default_settings(fragile: System) -> None:
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        before = await latencies(bitgo, 100)
        pid = fragile.supervisor.pids()["ingress-0"]
        async with crowd(bitgo.url, CROWD // 2) as held:
            during = await latencies(bitgo, 100)
            metrics = await fragile.metrics("ingress-0")
            refused = metrics['ingress_connections_closed_total{reason="no_place"}']
            print(f"of {CROWD // 2}: {held} held, {refused:.0f} refused; {told(before)}, then {told(during)}")
            print(f"{held_by(pid)[0] / 2**20:.0f} MiB")
            assert metrics["ingress_connections"] <= 2000
            assert refused >= CROWD // 2 - 2000
            assert held <= 2000
    assert statistics.median(during) < 3 * statistics.median(before) + 0.01
