"""Who is who among the processes that `allocations up` started: by their environment, as Linux shows it."""

from contextlib import suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process has started, from all of its threads."""
    found: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found.extend(int(child) for child in (task / "children").read_text().split())
    return found


def group(pid: int) -> list[int]:
    """A process and what it started: Postgres serves each connection with a process of its own."""
    return [pid, *children(pid)]


def started_at(pid: int) -> int:
    """In ticks since the machine started; 0 for who is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return 0


def environment(pid: int) -> dict[str, str]:
    with suppress(OSError):
        pairs = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    return {}


def processes(up: int) -> dict[str, int]:
    """Name and pid of every ingress and processor."""
    found: dict[str, int] = {}
    for pid in children(up):
        own = environment(pid)
        name = own.get("INGRESS_NAME") or own.get("PROCESSOR_INSTANCE_ID")
        if name:
            found[name] = pid
    return found
