"""Both servers under one supervisor, and that supervisor killed."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STACK = """
import asyncio, json, sys
from pathlib import Path
from local.kafka import Kafka
from local.postgres import Postgres
from local.supervisor import Supervisor

async def main(data, jars, archive):
    servers = Postgres(data, print), Kafka(data, jars, print, archive=archive)
    async with Supervisor(print) as supervisor:
        for server in servers:
            await server.prepare()
            supervisor.start(server.child())
        for server in servers:
            await server.wait_ready()
        ready = {"pids": list(supervisor.pids().values()), "urls": [servers[0].url, servers[1].bootstrap]}
        print(json.dumps(ready), flush=True)
        await asyncio.sleep(600)

asyncio.run(main(*map(Path, sys.argv[1:])))
"""


@contextmanager
def stack(*arguments: object) -> Iterator[tuple["subprocess.Popen[str]", dict[str, Any]]]:
    argv = [sys.executable, "-c", STACK, *map(str, arguments)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        assert process.stdout is not None
        ready = next(line for line in process.stdout if line.startswith("{"))
        yield process, json.loads(ready)
        process.terminate()


def family(pids: list[int]) -> list[int]:
    """Return the processes and their children."""
    parents = {int(stat.split()[0]): int(stat.rsplit(")", 1)[1].split()[1]) for stat in stats()}
    return [*pids, *(pid for pid, parent in parents.items() if parent in pids)]


def stats() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            yield path.read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_finds_all_as_it_was(
    tmp_path: Path, jars: Path, archive: Path, end: Callable[[Iterable[int]], bool]
) -> None:
    with stack(tmp_path, jars, archive) as (process, first):
        pids = family(first["pids"])
        assert len(pids) > len(first["pids"])
        process.kill()
    with stack(tmp_path, jars, archive) as (process, second):
        assert end(pids)
        assert second["urls"] == first["urls"]
        pids = family(second["pids"])
        process.send_signal(signal.SIGINT)
        process.wait()
    assert end(pids)
