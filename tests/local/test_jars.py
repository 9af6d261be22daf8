"""Kafka's jars, from a repository on loopback that behaves as badly as a test asks."""

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from local import download
from local.jars import LOCK, Jar, ensure_jars, read_lock
from local.report import LocalError

FILES = {f"/org/example/part{n}/1.{n}/part{n}-1.{n}.jar": os.urandom(200_000 + n) for n in range(5)}
FIRST = min(FILES)


@dataclass
class Repository:
    """`cut` maps a path to the number of bytes after which its connection ends, once."""

    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    contents: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    cut: dict[str, int] = field(default_factory=dict)
    failures: dict[str, list[int]] = field(default_factory=dict)
    ranges: bool = True
    gate: threading.Event = field(default_factory=threading.Event)

    def asked(self, path: str) -> list[str]:
        return [wanted for asked, wanted in self.requests if asked == path]


def handler(repository: Repository) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range", "")
            repository.requests.append((self.path, wanted))
            repository.gate.wait(20)
            if statuses := repository.failures.get(self.path):
                self.send_error(statuses.pop(0))
                return
            content = repository.contents[self.path]
            offset = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and repository.ranges else 0
            self.send_response(206 if offset else 200)
            if offset:
                self.send_header("Content-Range", f"bytes {offset}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - offset))
            self.end_headers()
            self.wfile.write(content[offset : repository.cut.pop(self.path, None)])

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    repository = Repository()
    repository.gate.set()
    with ThreadingHTTPServer(("127.0.0.1", 0), handler(repository)) as server:
        repository.port = server.server_port
        monkeypatch.setenv("ALLOCATIONS_MAVEN_REPOSITORY", f"http://127.0.0.1:{repository.port}")
        monkeypatch.setenv("ALLOCATIONS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(download, "FIRST_PAUSE_SECONDS", 0.01)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield repository
        server.shutdown()
        thread.join()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    jars = [
        Jar(
            f"org.example:{Path(path).parts[-3]}:{Path(path).parts[-2]}",
            hashlib.sha256(content).hexdigest(),
            len(content),
        )
        for path, content in FILES.items()
    ]
    lock = tmp_path / "jars.lock"
    lock.write_text("".join(f"{jar}\n" for jar in sorted(jars)))
    return lock


def fail_early(repository: Repository, lock: Path, after_bytes: int) -> None:
    repository.cut[FIRST] = after_bytes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(download, "ATTEMPTS", 1)
        with pytest.raises(LocalError, match="run the same command again"):
            ensure_jars(print, lock=lock)
    repository.requests.clear()


def contents(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in folder.iterdir())


def test_the_real_lock_is_well_formed() -> None:
    lines = LOCK.read_text().splitlines()
    jars = read_lock()
    assert len(jars) == 46
    assert lines == sorted(set(lines)) == [str(jar) for jar in jars]
    assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64} [1-9][0-9]+", line) for line in lines)
    assert len({jar.filename for jar in jars}) == len(jars)
    coordinates = {jar.coordinate for jar in jars}
    assert {"org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"} <= coordinates


@pytest.mark.slow
def test_a_first_run_downloads_all_and_says_so_and_a_second_run_is_silent(repository: Repository, lock: Path) -> None:
    said: list[str] = []
    folder = ensure_jars(said.append, lock=lock)
    assert contents(folder) == sorted(FILES.values())
    assert said[0].startswith("downloading Kafka: 5 files, 1.0 MB")
    assert said[-1] == "downloading Kafka: 5 of 5 files, 1.0 of 1.0 MB"

    said.clear()
    repository.requests.clear()
    assert ensure_jars(said.append, lock=lock) == folder
    assert (said, repository.requests) == ([], [])


def test_a_damaged_jar_is_fetched_again_and_a_stray_one_is_removed(repository: Repository, lock: Path) -> None:
    folder = ensure_jars(print, lock=lock)
    next(folder.iterdir()).write_bytes(b"damaged")
    (folder / "stray.jar").write_bytes(b"stray")
    repository.requests.clear()
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())
    assert len(repository.requests) == 1


def test_a_connection_that_ends_early_is_resumed_at_the_byte(repository: Repository, lock: Path) -> None:
    repository.cut[FIRST] = 123_456
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())
    assert repository.asked(FIRST) == ["", "bytes=123456-"]


def test_a_run_that_was_interrupted_is_resumed_by_the_next(repository: Repository, lock: Path) -> None:
    fail_early(repository, lock, after_bytes=123_456)
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())
    assert repository.asked(FIRST) == ["bytes=123456-"]


def test_a_server_that_ignores_ranges_sends_from_the_start(repository: Repository, lock: Path) -> None:
    repository.ranges = False
    repository.cut[FIRST] = 123_456
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())
    assert repository.asked(FIRST) == ["", "bytes=123456-"]


def test_a_damaged_part_is_thrown_away_and_fetched_from_the_start(repository: Repository, lock: Path) -> None:
    fail_early(repository, lock, after_bytes=123_456)
    (part,) = Path(os.environ["ALLOCATIONS_CACHE"], "downloads").glob("part0*.part")
    part.write_bytes(bytes(123_456))
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())
    assert repository.asked(FIRST)[-1] == ""


@pytest.mark.parametrize("wrong", [b"x" * 200_000, b"x" * 300_000], ids=["other content", "too long"])
def test_a_wrong_file_is_named_and_deleted(repository: Repository, lock: Path, wrong: bytes) -> None:
    repository.contents[FIRST] = wrong
    with pytest.raises(LocalError, match=r"org\.example:part0:1\.0 .* is not the file that the lock names"):
        ensure_jars(print, lock=lock)
    cache = Path(os.environ["ALLOCATIONS_CACHE"])
    assert not [path for path in cache.rglob("part0*") if path.is_file()]


def test_a_server_error_is_tried_again(repository: Repository, lock: Path) -> None:
    repository.failures[FIRST] = [503, 500, 429]
    assert contents(ensure_jars(print, lock=lock)) == sorted(FILES.values())


def test_a_missing_file_is_not_tried_again(repository: Repository, lock: Path) -> None:
    repository.failures[FIRST] = [404, 404]
    with pytest.raises(LocalError, match=r"could not download org\.example:part0:1\.0 .*404"):
        ensure_jars(print, lock=lock)
    assert len(repository.asked(FIRST)) == 1


def test_a_thread_that_downloads_can_be_stopped(repository: Repository, lock: Path) -> None:
    repository.gate.clear()
    stop, outcome = threading.Event(), list[Exception]()

    def ensure() -> None:
        try:
            ensure_jars(print, lock=lock, stop=stop)
        except download.Interrupted as interrupted:
            outcome.append(interrupted)

    thread = threading.Thread(target=ensure)
    thread.start()
    while not repository.requests:
        time.sleep(0.01)
    stop.set()
    repository.gate.set()
    thread.join()
    assert len(outcome) == 1


@pytest.mark.slow
def test_of_two_processes_one_downloads_and_the_other_says_that_it_waits(repository: Repository, lock: Path) -> None:
    repository.gate.clear()
    with start(lock) as first:
        assert first.stdout is not None
        assert first.stdout.readline().startswith("downloading")
        with start(lock) as second:
            assert second.stdout is not None
            assert "waiting" in second.stdout.readline()
            repository.gate.set()
            assert second.stdout.read() == ""
            assert (first.wait(), second.wait()) == (0, 0)
    assert sorted(path for path, _ in repository.requests) == sorted(FILES)


def start(lock: Path) -> "subprocess.Popen[str]":
    code = "import pathlib, sys; from local.jars import *; ensure_jars(print, lock=pathlib.Path(sys.argv[1]))"
    return subprocess.Popen([sys.executable, "-u", "-c", code, lock], stdout=subprocess.PIPE, text=True)  # noqa: S603
