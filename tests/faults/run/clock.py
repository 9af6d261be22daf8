"""Another time for one process: a small library, made here and loaded before all others, adds a step to its clock."""

import shutil
import struct
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

SOURCE: Final = Path(__file__).with_name("clock.c")


class Clock:
    """`env` is for the processes whose clocks are to be stepped; without a compiler it is empty."""

    def __init__(self, folder: Path) -> None:
        self._steps = folder / "clocks"
        self._library = folder / "clock.so"
        self.env: Mapping[str, str] = {}
        self.why_not: str | None = "there is no C compiler (cc) for the library that steps a process's clock"

    def make(self) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            return
        command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(self._library), str(SOURCE)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own argv
        if made.returncode:
            self.why_not = (
                f"{compiler} can not make the library that steps a process's clock: {made.stderr.strip()[:200]}"
            )
            return
        self._steps.mkdir()
        self._steps.chmod(0o777)
        self._library.chmod(0o755)
        self.env = {"LD_PRELOAD": str(self._library), "CLOCK_STEPS": str(self._steps)}
        self.why_not = None

    @asynccontextmanager
    async def stepped(self, pid: int, seconds: float) -> AsyncIterator[None]:
        """The process lives so many seconds ahead, or behind."""
        self._write(pid, seconds)
        try:
            yield
        finally:
            self._write(pid, 0)

    def _write(self, pid: int, seconds: float) -> None:
        with suppress(FileNotFoundError), (self._steps / str(pid)).open("r+b") as file:
            file.write(struct.pack("q", round(seconds * 1e9)))
