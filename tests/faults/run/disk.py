"""A file system of its own for the data folder, small enough to be filled up. Needs root and a free loop device.

It is mounted in a mount namespace of this process, so that nothing of it outlives the run, however that ends.
"""

import ctypes
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

SIZE_BYTES: Final = 12 << 30
CLONE_NEWNS: Final = 0x00020000


def throw_away(folder: Path) -> None:
    """A run's folder, with the disk that may be mounted in it."""
    if (folder / "data").is_mount():
        subprocess.run(("umount", "--lazy", str(folder / "data")), check=False)  # noqa: S603, S607 - our own argv
    shutil.rmtree(folder, ignore_errors=True)


class Disk:
    """`folder` is where the data goes, on a disk of its own or not; `why_not` says why not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "data"
        self._image = folder / "disk.img"
        self._ballast = self.folder / "ballast"
        self.why_not: str | None = "only root can mount a file system that may be filled up"

    def make(self) -> None:
        self.folder.mkdir()
        if os.geteuid() != 0:
            return
        try:
            self._mount()
        except (OSError, subprocess.CalledProcessError) as error:
            self.why_not = f"no file system that may be filled up can be mounted here: {error}"
        else:
            self.why_not = None

    def _mount(self) -> None:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS):
            raise OSError(ctypes.get_errno(), "unshare")
        with self._image.open("wb") as image:
            image.truncate(min(SIZE_BYTES, shutil.disk_usage(self._image.parent).free // 2))
        for command in (
            ("mount", "--make-rprivate", "/"),
            ("mkfs.ext4", "-q", "-F", "-m", "0", str(self._image)),
            ("mount", "-o", "loop", str(self._image), str(self.folder)),
        ):
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own argv
        shutil.rmtree(self.folder / "lost+found", ignore_errors=True)

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Not a byte is left."""
        with self._ballast.open("wb") as ballast:
            try:
                for step in (1 << 30, 1 << 20, 1 << 12):
                    self._fill(ballast.fileno(), step)
                yield
            finally:
                self._ballast.unlink()

    def _fill(self, descriptor: int, step: int) -> None:
        while True:
            try:
                os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
            except OSError:
                return
