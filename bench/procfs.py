"""What processes cost, from /proc: CPU seconds and resident memory, each with all its descendants.

A descendant that ended is counted by the one who waited for it, so that a difference of two readings misses nothing.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from bench.errors import BenchError

PROC: Final = Path("/proc")
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PARENT: Final = 1
_TIMES: Final = slice(11, 15)  # user and system time, its own and of children that it waited for
_STARTED: Final = 19
_RESIDENT: Final = 21
_SLEPT: Final = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)

Pids = Mapping[str, Iterable[int]]


def cpu_seconds(groups: Pids) -> dict[str, float]:
    """CPU seconds so far, by group."""
    return {name: sum(sum(map(int, stat[_TIMES])) for stat in stats) / _TICKS for name, stats in _read(groups).items()}


def resident_bytes(groups: Pids) -> dict[str, int]:
    """Resident memory by group. What processes share is counted in each of them."""
    return {name: sum(int(stat[_RESIDENT]) for stat in stats) * _PAGE for name, stats in _read(groups).items()}


def busy_seconds() -> float:
    """CPU seconds that all processes of this machine have used, or others of its host have taken from it."""
    user, nice, system, _idle, _wait, *rest = (PROC / "stat").read_text().splitlines()[0].split()[1:9]
    return sum(map(int, (user, nice, system, *rest))) / _TICKS


def difference(after: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after}


def _read(groups: Pids) -> dict[str, list[list[str]]]:
    """The `stat` fields after the name, of each group's processes and their descendants."""
    stats = _all_stats()
    children = _children(stats)
    return {
        name: [stats[pid] for root in roots for pid in _tree(root, stats, children)] for name, roots in groups.items()
    }


def _all_stats() -> dict[int, list[str]]:
    return {int(folder.name): _stat(folder) for folder in PROC.iterdir() if folder.name.isdecimal()}


def _children(stats: Mapping[int, list[str]]) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for pid, stat in stats.items():
        if stat:
            found.setdefault(int(stat[_PARENT]), []).append(pid)
    return found


def started_at(pid: int) -> float:
    """When a process started, on the clock of `time.perf_counter`, to a hundredth of a second."""
    return int(_stat(PROC / str(pid))[_STARTED]) / _TICKS


def children(pid: int) -> dict[int, list[str]]:
    """The processes that a process has started, with the words of their command lines."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and _stat(folder)[_PARENT : _PARENT + 1] == [str(pid)]:
            found[int(folder.name)] = (folder / "cmdline").read_text().rstrip("\0").split("\0")
    return found


def descendants(roots: Iterable[int]) -> list[int]:
    """Processes with all that they have started."""
    stats = _all_stats()
    return [pid for root in roots for pid in _tree(root, stats, _children(stats))]


def wake_ups(roots: Iterable[int]) -> int:
    """How often the threads of these processes, and of all that they have started, went to sleep so far."""
    folders = [PROC / str(pid) / "task" for pid in descendants(roots)]
    return sum(_slept(task) for folder in folders for task in folder.iterdir())


def _slept(task: Path) -> int:
    try:
        return int(_SLEPT.findall((task / "status").read_text())[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _tree(root: int, stats: Mapping[int, list[str]], children: Mapping[int, list[int]]) -> list[int]:
    if not stats.get(root):
        raise BenchError(f"process {root} ended while it was measured; the stack's logs say why")
    found = [root]
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _stat(folder: Path) -> list[str]:
    try:
        return (folder / "stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
