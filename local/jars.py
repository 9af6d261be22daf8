"""Kafka's jars: named in a lock, kept in a cache of the user, used only when their sha256 is right.

`python -m local.jars --lock` resolves them again and writes the lock: one line per jar,
`group:artifact:version sha256 size-in-bytes`, sorted.
"""

import argparse
import contextlib
import hashlib
import os
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import platformdirs

from local.download import Interrupted, Transfer, Wanted, download, sha256_of, size_of, tls
from local.folder import open_lock, release, try_lock
from local.report import LocalError, Report

LOCK: Final = Path(__file__).with_name("kafka.lock")
KAFKA: Final = "org.apache.kafka:kafka_2.13:4.3.1"
LOG_BINDING: Final = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"  # Kafka brings log4j-core of this version
THREADS: Final = 6
MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, order=True, slots=True)
class Jar:
    coordinate: str
    sha256: str
    size_bytes: int

    @property
    def filename(self) -> str:
        _group, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    @property
    def path(self) -> str:
        """Its place in any Maven repository."""
        group, artifact, version = self.coordinate.split(":")
        return f"{group.replace('.', '/')}/{artifact}/{version}/{self.filename}"

    @classmethod
    def parse(cls, line: str) -> "Jar":
        coordinate, sha256, size_bytes = line.split()
        return cls(coordinate, sha256, int(size_bytes))

    def __str__(self) -> str:
        return f"{self.coordinate} {self.sha256} {self.size_bytes}"


def read_lock(lock: Path = LOCK) -> list[Jar]:
    return [Jar.parse(line) for line in lock.read_text().splitlines()]


def cache_folder() -> Path:
    folder = os.environ.get("ALLOCATIONS_CACHE") or platformdirs.user_cache_path("allocations")
    return Path(folder).absolute()


def repository_url() -> str:
    from jgo.constants import MAVEN_CENTRAL_URL  # noqa: PLC0415 - a quarter of a second, for a download only

    return str(os.environ.get("ALLOCATIONS_MAVEN_REPOSITORY") or MAVEN_CENTRAL_URL).rstrip("/")


def ensure_jars(report: Report, *, lock: Path = LOCK, stop: threading.Event | None = None) -> Path:
    """Return a folder that holds exactly the jars of the lock, checked just now (46 jars cost 0.03 s).

    Raises LocalError, and Interrupted soon after `stop` is set: for whoever calls this in a thread. Safe to call from
    several processes at once: one downloads, the others wait.
    """
    transfer = Transfer(stop=stop or threading.Event())
    jars = read_lock(lock)
    folder = folder_of(lock)
    if is_complete(folder, jars):
        return folder
    with exclusive(folder.parent, report, transfer.stop):
        folder.mkdir(exist_ok=True)
        remove_strays(folder, jars)
        missing = [jar for jar in jars if not is_right(folder / jar.filename, jar)]
        if missing:
            fetch_all(missing, folder, transfer, report)
    return folder


def folder_of(lock: Path) -> Path:
    """Where the jars of a lock are kept: another lock has another folder."""
    return cache_folder() / f"kafka-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"


def missing_bytes(lock: Path = LOCK) -> int:
    """Return how much `ensure_jars` would download."""
    folder = folder_of(lock)
    return sum(jar.size_bytes for jar in read_lock(lock) if not is_right(folder / jar.filename, jar))


def is_complete(folder: Path, jars: Sequence[Jar]) -> bool:
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != {jar.filename for jar in jars}:
        return False
    return all(is_right(folder / jar.filename, jar) for jar in jars)


def is_right(path: Path, jar: Jar) -> bool:
    return size_of(path) == jar.size_bytes and sha256_of(path) == jar.sha256


def remove_strays(folder: Path, jars: Sequence[Jar]) -> None:
    expected = {jar.filename for jar in jars}
    for path in folder.iterdir():
        if path.name not in expected:
            path.unlink()


@contextlib.contextmanager
def exclusive(folder: Path, report: Report, stop: threading.Event) -> Iterator[None]:
    """Be alone in the cache, and say so when that takes waiting."""
    try:
        descriptor = open_lock(folder)
    except LocalError as error:
        raise LocalError(f"{error}. The variable ALLOCATIONS_CACHE names another cache.") from error
    try:
        if not try_lock(descriptor):
            report(f"waiting for another process that fills {folder}")
            while not try_lock(descriptor):
                if stop.wait(0.1):
                    raise Interrupted
        yield
    finally:
        release(descriptor)


def fetch_all(jars: Sequence[Jar], folder: Path, transfer: Transfer, report: Report) -> None:
    parts = folder.parent / "downloads"
    parts.mkdir(exist_ok=True)
    repository = repository_url()
    total_bytes = sum(jar.size_bytes for jar in jars)
    report(f"downloading Kafka: {len(jars)} files, {total_bytes / MEGABYTE:.1f} MB, into {folder}")
    with ThreadPoolExecutor(THREADS, thread_name_prefix="download") as threads:
        try:
            started = [
                threads.submit(download, wanted(jar, repository, parts, folder), transfer)
                for jar in sorted(jars, key=lambda jar: -jar.size_bytes)
            ]
            watch(started, transfer, len(jars), total_bytes, report)
        finally:
            transfer.stop.set()
            threads.shutdown(wait=True, cancel_futures=True)


def wanted(jar: Jar, repository: str, parts: Path, folder: Path) -> Wanted:
    return Wanted(
        name=jar.coordinate,
        url=f"{repository}/{jar.path}",
        sha256=jar.sha256,
        size_bytes=jar.size_bytes,
        part=parts / f"{jar.filename}.{jar.sha256[:16]}.part",
        target=folder / jar.filename,
    )


def watch(started: Sequence["Future[None]"], transfer: Transfer, files: int, total_bytes: int, report: Report) -> None:
    """Report once a second until all is there; raise what failed first."""
    pending, next_report = set(started), time.monotonic() + 1
    while pending:
        done, pending = wait(pending, timeout=max(0.0, next_report - time.monotonic()), return_when=FIRST_EXCEPTION)
        failures = [error for future in done if (error := future.exception())]
        if failures:
            raise next((error for error in failures if not isinstance(error, Interrupted)), failures[0])
        if not pending or time.monotonic() >= next_report:
            next_report = time.monotonic() + 1
            report(
                f"downloading Kafka: {transfer.files} of {files} files, "
                f"{transfer.arrived_bytes / MEGABYTE:.1f} of {total_bytes / MEGABYTE:.1f} MB"
            )


def resolve_lock() -> list[Jar]:
    """Ask the repository what Kafka needs; raises LocalError when a file is not what its sha1 says."""
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, for this only

    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), remote_repos={"central": repository_url()})

        def resolve(coordinate: str) -> list[Any]:
            roots, needed = context.resolver.resolve([context.create_dependency(coordinate)])
            return [*roots, *(each for each in needed if each.scope in {"compile", "runtime"})]

        # One by one: resolved together, the binding's parent would choose the versions of Kafka's own parts.
        kafka, (binding, *its_needs) = resolve(KAFKA), resolve(LOG_BINDING)
        if surplus := {each.artifactId for each in its_needs} - {each.artifactId for each in kafka}:
            raise LocalError(f"the logging binding needs what Kafka does not bring: {', '.join(sorted(surplus))}")
        with ThreadPoolExecutor(THREADS) as threads:
            return sorted(threads.map(lambda each: locked(each.artifact), [*kafka, binding]))


def locked(artifact: Any) -> Jar:
    content = Path(artifact.resolve()).read_bytes()
    coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
    jar = Jar(coordinate, hashlib.sha256(content).hexdigest(), len(content))
    with urllib.request.urlopen(f"{repository_url()}/{jar.path}.sha1", context=tls()) as response:  # noqa: S310
        expected = response.read().decode().split()[0]
    if hashlib.sha1(content, usedforsecurity=False).hexdigest() != expected:
        raise LocalError(f"{jar.coordinate} arrived damaged; run the same command again")
    return jar


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m local.jars", description=__doc__)
    arguments.add_argument("--lock", action="store_true", help="resolve again and write the lock")
    if arguments.parse_args().lock:
        LOCK.write_text("".join(f"{jar}\n" for jar in resolve_lock()))
    print(ensure_jars(print))  # noqa: T201
