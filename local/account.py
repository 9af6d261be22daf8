"""The account under which Postgres runs when we are root, which it refuses to be.

It is given what it lacks and no more: the search bit on the folders above what it must reach, and the read bit on
files of the wheel that a strict umask had closed. Each change is reported.
"""

import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.report import LocalError, Report

NAME: Final = "nobody"


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    uid: int
    gid: int

    def may(self, path: Path, other: int) -> bool:
        """Whether the mode of `path` grants `other`, given as bits of the last octal digit (4 read, 1 search)."""
        found = path.stat()
        shift = 6 if found.st_uid == self.uid else 3 if found.st_gid == self.gid else 0
        return found.st_mode >> shift & other == other


def account_for_servers() -> Account | None:
    """None unless we are root: then everybody can be himself."""
    if os.geteuid() != 0:
        return None
    try:
        found = pwd.getpwnam(NAME)
    except KeyError:
        raise LocalError(f"Postgres refuses to run as root, and there is no account {NAME}; run as a user") from None
    return Account(found.pw_name, found.pw_uid, found.pw_gid)


def open_the_way(path: Path, account: Account, report: Report) -> None:
    """Let the account pass through every folder above `path`, which is absolute and without symbolic links."""
    for folder in reversed(path.parents):
        if not account.may(folder, 1):
            change(folder, stat.S_IXOTH)
            report(f"{folder}: others may now pass through it (o+x), for Postgres under the account '{account.name}'")


def open_for_reading(folder: Path, account: Account, report: Report) -> None:
    """Let the account read what the owner can read in `folder`, at any depth, and run what he can run."""
    closed = [path for path in everything(folder) if not account.may(path, needed(path))]
    for path in closed:
        change(path, needed(path))
    if closed:
        report(f"{folder}: others may now read {len(closed)} files and folders, for the account '{account.name}'")


def everything(folder: Path) -> Iterator[Path]:
    yield folder
    for path in folder.rglob("*"):
        if not path.is_symlink():
            yield path


def needed(path: Path) -> int:
    """Return what others need of what the owner has: 4, or 5 for folders and programs."""
    return path.stat().st_mode >> 6 & 5


def change(path: Path, bits: int) -> None:
    try:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | bits)
    except OSError as error:
        raise LocalError(
            f"{path} is closed to {NAME} and its mode cannot be changed ({error}); run as a user"
        ) from error
