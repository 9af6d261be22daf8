import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import pytest

from local.archive import ensure_archive
from local.jars import ensure_jars
from local.supervisor import Change, Supervisor


@pytest.fixture(scope="session")
def jars() -> Path:
    return ensure_jars(print)


@pytest.fixture(scope="session")
async def archive(jars: Path) -> Path | None:
    return await ensure_archive(jars, print)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def changes() -> list[Change]:
    return []


@pytest.fixture
async def supervisor(said: list[str], changes: list[Change]) -> AsyncIterator[Supervisor]:
    async with Supervisor(said.append, changes.append) as supervisor:
        yield supervisor


@pytest.fixture
def appears() -> Callable[[Path], Awaitable[None]]:
    async def appears(path: Path) -> None:
        async with asyncio.timeout(30):
            while not path.exists():  # noqa: ASYNC240 - nothing wakes us
                await asyncio.sleep(0.001)

    return appears


@pytest.fixture
def end() -> Callable[[Iterable[int]], bool]:
    """Whether all of these processes end within 5 s; a zombie has ended, nobody may be there to reap an orphan."""

    def is_alive(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def end(pids: Iterable[int]) -> bool:
        deadline, living = time.monotonic() + 5, set(pids)
        while living and time.monotonic() < deadline:
            time.sleep(0.005)
            living = {pid for pid in living if is_alive(pid)}
        return not living

    return end
