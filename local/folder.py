"""A server's folder: held by one process at a time, and with ports that stay the same while they are free.

The hold is a file lock on a descriptor that the server inherits. So it lasts as long as any process of the server
does, and whoever starts next waits for what a killed supervisor left behind instead of starting beside it.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from local.ports import reserve_again, reserve_port
from local.report import LocalError, Report

HOLD_TIMEOUT_SECONDS: Final = 10


async def hold(folder: Path, report: Report, timeout_seconds: float = HOLD_TIMEOUT_SECONDS) -> int:
    """Return the descriptor of the lock, to be inherited by the server and closed when it has ended.

    Raises LocalError when another process still holds the folder after the timeout, or another account made it.
    """
    descriptor = open_lock(folder)
    try:
        if (owner := os.fstat(descriptor).st_uid) != os.geteuid():
            raise LocalError(f"{folder} belongs to the account number {owner}; start as that one, or use another")
        await wait_for_lock(descriptor, folder, report, timeout_seconds)
    except BaseException:
        os.close(descriptor)
        raise
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


async def wait_for_lock(descriptor: int, folder: Path, report: Report, timeout_seconds: float) -> None:
    deadline, said = time.monotonic() + timeout_seconds, False
    while not try_lock(descriptor):
        if time.monotonic() > deadline:
            holder = os.pread(descriptor, 32, 0).decode() or "?"
            raise LocalError(f"{folder} is in use, by what process {holder} started; stop that, or use another folder")
        if not said:
            report(f"waiting for the server that still uses {folder}")
            said = True
        await asyncio.sleep(0.05)


def release(descriptor: int) -> int:
    """Close the lock's descriptor unless it is -1; returns -1, which stands for none."""
    if descriptor >= 0:
        os.close(descriptor)
    return -1


def open_lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LocalError(f"{folder} cannot be written by this account: {error}") from error


def try_lock(descriptor: int) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def remembered_ports(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """Return the ports of the last start where they are still free, else new ones, and write them down."""
    file = folder / "ports.json"
    ports: dict[str, int] = json.loads(file.read_text()) if file.exists() else {}
    chosen = {name: port for name in names if reserve_again(port := ports.get(name, 0))}
    for name in set(names) - chosen.keys():
        chosen[name] = reserve_port()
    if chosen != ports:
        write(file, json.dumps(chosen))
    return chosen


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace the file atomically: a kill leaves the old text or the new one."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
