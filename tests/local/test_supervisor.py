"""The supervisor, over small Python programs that behave as a test asks."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from local import child as child_module
from local.child import Child
from local.supervisor import Change, Supervisor

FOREVER = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + FOREVER
FAILING = "import sys; sys.exit(1)"

Make = Callable[..., Child]
End = Callable[[Iterable[int]], bool]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(name: str, code: str, *arguments: str, **settings: Any) -> Child:
        argv = [sys.executable, "-S", "-c", code, *arguments]
        return Child(name=name, argv=argv, log=tmp_path / "logs" / f"{name}.log", **settings)

    return make


async def is_up(child: Child) -> None:
    while not child.log.exists() or "up" not in child.log.read_text():
        await asyncio.sleep(0.01)


def times(changes: Sequence[tuple[float, Change]], what: str) -> list[float]:
    return [at for at, change in changes if change.what == what]


async def test_a_child_that_dies_is_restarted_and_both_are_told(
    supervisor: Supervisor, changes: list[Change], make: Make
) -> None:
    before = supervisor.start(make("worker", FOREVER))
    supervisor.signal("worker", signal.SIGKILL)
    after = await supervisor.restarted("worker", before)
    assert supervisor.pids() == {"worker": after}
    assert changes == [
        Change("worker", "started", before),
        Change("worker", "ended", before, -signal.SIGKILL),
        Change("worker", "restarted", after),
    ]


@pytest.mark.slow
async def test_the_first_restart_is_immediate_and_the_next_ones_wait_twice_as_long_each(make: Make) -> None:
    changes: list[tuple[float, Change]] = []
    async with Supervisor(print, lambda change: changes.append((time.monotonic(), change))) as supervisor:
        supervisor.start(make("worker", FAILING))
        await supervisor.until(lambda: len(times(changes, "restarted")) == 3)
    ended, restarted = times(changes, "ended"), times(changes, "restarted")
    pauses = [back - gone for gone, back in zip(ended, restarted, strict=False)]
    assert all(
        least <= pause < twice for least, pause, twice in zip((0.0, 0.5, 1.0), pauses, (0.5, 1.0, 2.0), strict=True)
    )


@pytest.mark.slow
async def test_a_long_life_forgets_earlier_failures(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.supervisor.FORGET_AFTER_SECONDS", 0.0)
    changes: list[Change] = []
    async with Supervisor(print, changes.append) as supervisor, asyncio.timeout(30):
        supervisor.start(make("worker", FAILING))
        await supervisor.until(lambda: len([change for change in changes if change.what == "restarted"]) == 10)


async def test_a_status_that_needs_somebody_is_reported_with_its_last_words_and_the_others_go_on(
    supervisor: Supervisor, said: list[str], changes: list[Change], make: Make
) -> None:
    supervisor.start(make("other", FOREVER))
    supervisor.start(make("worker", "import sys; print('run: allocations migrate', flush=True); sys.exit(78)"))
    await supervisor.until(lambda: changes[-1].what == "given up")
    assert list(supervisor.pids()) == ["other"]
    assert "status 78" in said[0]
    assert said[1] == "  worker: run: allocations migrate"


async def test_a_child_that_is_not_to_be_restarted_is_left_alone(
    supervisor: Supervisor, changes: list[Change], make: Make
) -> None:
    supervisor.start(make("once", FAILING, restarted=False))
    await supervisor.until(lambda: not supervisor.pids())
    await asyncio.sleep(0.1)
    assert [change.what for change in changes] == ["started", "ended"]


async def test_groups_are_stopped_in_order_and_what_no_group_names_last_in_reverse(
    supervisor: Supervisor, changes: list[Change], make: Make
) -> None:
    for name in ("kafka", "postgres", "processor-1", "ingress-1", "ingress-2"):
        supervisor.start(make(name, FOREVER))
    await supervisor.stop({"ingress-1", "ingress-2"}, {"processor-1"})
    ended = [change.name for change in changes if change.what == "ended"]
    assert sorted(ended[:2]) == ["ingress-1", "ingress-2"]
    assert ended[2:] == ["processor-1", "postgres", "kafka"]


async def test_a_child_that_does_not_stop_in_time_is_killed(
    supervisor: Supervisor, said: list[str], changes: list[Change], make: Make
) -> None:
    child = make("deaf", DEAF, stop_timeout_seconds=0.2)
    pid = supervisor.start(child)
    await is_up(child)
    await supervisor.stop()
    assert changes[-1] == Change("deaf", "ended", pid, -signal.SIGKILL)
    assert "did not stop within" in said[-1]


async def test_a_second_stop_kills_everything_at_once(supervisor: Supervisor, make: Make, end: End) -> None:
    deaf = [make(f"deaf-{n}", DEAF, stop_timeout_seconds=60) for n in range(3)]
    pids = [supervisor.start(child) for child in deaf]
    for child in deaf:
        await is_up(child)
    first = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0.1)
    assert list(supervisor.pids().values()) == pids
    async with asyncio.timeout(8):
        await supervisor.stop()
        await first
    assert end(pids)


async def test_a_stopped_supervisor_restarts_nothing_and_starts_nothing(supervisor: Supervisor, make: Make) -> None:
    supervisor.start(make("worker", FAILING))
    await asyncio.sleep(0.1)
    await supervisor.stop()
    assert supervisor.pids() == {}
    with pytest.raises(RuntimeError):
        supervisor.start(make("late", FOREVER))


async def test_an_exception_inside_leaves_no_process_behind(make: Make, end: End) -> None:
    with contextlib.suppress(ZeroDivisionError):
        async with Supervisor(print) as supervisor:
            pid = supervisor.start(make("worker", FOREVER))
            raise ZeroDivisionError
    assert end([pid])


async def test_one_child_is_removed_and_its_name_is_free(supervisor: Supervisor, make: Make) -> None:
    supervisor.start(make("kept", FOREVER))
    supervisor.start(make("worker", FOREVER))
    await supervisor.remove("worker")
    assert list(supervisor.pids()) == ["kept"]
    supervisor.start(make("worker", FOREVER))


async def test_a_child_that_was_suspended_can_be_stopped(supervisor: Supervisor, make: Make) -> None:
    supervisor.start(make("worker", FOREVER))
    supervisor.signal("worker", signal.SIGSTOP)
    async with asyncio.timeout(8):
        await supervisor.stop()
    assert supervisor.pids() == {}


async def test_a_terminals_signals_do_not_reach_a_child(supervisor: Supervisor, make: Make) -> None:
    pid = supervisor.start(make("worker", FOREVER))
    assert os.getsid(pid) == os.getpgid(pid) == pid


async def test_what_a_child_started_dies_with_it(supervisor: Supervisor, make: Make, end: End) -> None:
    code = "import subprocess; p = subprocess.Popen(['sleep', '600']); print(p.pid, 'up', flush=True); p.wait()"
    child = make("worker", code, restarted=False)
    supervisor.start(child)
    await is_up(child)
    grandchild = int(child.log.read_text().split()[0])
    supervisor.signal("worker", signal.SIGKILL)
    await supervisor.until(lambda: not supervisor.pids())
    assert end([grandchild])


async def test_a_child_gets_what_its_description_says(supervisor: Supervisor, make: Make, tmp_path: Path) -> None:
    code = """
import os, socket, sys
connection, _ = socket.socket(fileno=int(sys.argv[1])).accept()
connection.send((os.getcwd() + os.environ["X"]).encode())
"""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        child = make("ingress", code, str(fd), fds=(fd,), env={"X": "!"}, cwd=tmp_path, restarted=False)
        supervisor.start(child)
        reader, writer = await asyncio.open_connection(*listening.getsockname())
    assert await reader.read() == f"{tmp_path}!".encode()
    writer.close()
    await writer.wait_closed()


async def test_a_log_takes_both_outputs_and_is_set_aside_when_it_is_large(
    supervisor: Supervisor, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "LOG_LIMIT_BYTES", 10)
    code = "import os; os.write(1, b'out'); os.write(2, b'err, and more')"
    child = make("worker", code, restarted=False)
    supervisor.start(child)
    await supervisor.until(lambda: not supervisor.pids())
    assert child.log.read_text() == "outerr, and more"
    await supervisor.remove("worker")
    supervisor.start(make("worker", FOREVER))
    assert child.log.with_name("worker.log.1").read_text() == "outerr, and more"


async def test_a_program_that_is_missing_is_said_at_once(supervisor: Supervisor, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        supervisor.start(Child(name="none", argv=[tmp_path / "none"], log=tmp_path / "none.log"))
    assert supervisor.pids() == {}


@pytest.mark.slow
async def test_a_child_waits_for_room_on_the_disk(
    supervisor: Supervisor, said: list[str], make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"bytes": 2 << 20}
    monkeypatch.setattr(child_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=free["bytes"]))
    with pytest.raises(OSError, match="2 MB are free on the disk"):
        supervisor.start(make("large", FOREVER, cwd=tmp_path, room_bytes=3 << 20))
    before = supervisor.start(make("small", FOREVER, cwd=tmp_path, room_bytes=1 << 20))
    free["bytes"] = 0
    supervisor.signal("small", signal.SIGKILL)
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0.01)
        assert "small cannot be started" in said[0]
        assert "0 MB are free" in said[0]
        free["bytes"] = 1 << 20
        assert before != await supervisor.restarted("small", before)


async def test_without_process_descriptors_an_end_is_seen_too(
    supervisor: Supervisor, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    before = supervisor.start(make("worker", FOREVER))
    supervisor.signal("worker", signal.SIGKILL)
    await supervisor.restarted("worker", before)


PARENT = """
import asyncio, json, sys
from pathlib import Path
from local.account import account_for_servers
from local.child import Child
from local.supervisor import Supervisor

async def main():
    async with Supervisor(print) as supervisor:
        for name, user in (("plain", None), ("other", account_for_servers())):
            argv = ["sleep", "600"]
            supervisor.start(Child(name=name, argv=argv, log=Path(sys.argv[1]) / f"{name}.log", user=user))
        print(json.dumps(supervisor.pids()), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_children_do_not_outlive_their_supervisor(number: signal.Signals, tmp_path: Path, end: End) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:  # noqa: S603
        assert parent.stdout is not None
        pids = json.loads(parent.stdout.readline()).values()
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        parent.send_signal(number)
    assert end(pids)
