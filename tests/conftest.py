"""Real servers for every test that needs them; which kind is one fixture's business."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from local.archive import NO_OPTIMIZING

pytest_plugins = ["tests.support.servers", "tests.support.system", "tests.support.limited_ingress"]

# A job in the background inherits SIGINT as ignored and would hand that on to the processes that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Most nodes of the tests live for seconds: Java's optimizing compiler would take a core for as long, and for nothing.
os.environ.setdefault("JDK_JAVA_OPTIONS", NO_OPTIMIZING)

# How long a test takes, or its inputs take to be made, says something of the machine, and fails no test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

TESTS = Path(__file__).parent

PROCESSES = {"cli/test_up.py"} | {
    *("local/test_embedded_kafka.py", "local/test_embedded_postgres.py", "local/test_embedded_stack.py"),
    *("containers/test_image.py", "doctor/test_environments.py", "processor/test_unwilling_postgres.py"),
    *(f"surroundings/test_postgres_{name}.py" for name in ("refusals", "settings")),
    *(f"surroundings/test_{name}.py" for name in ("ports", "rights", "roles")),
    "simulator/test_server_kills.py",
    *(f"conformance/test_{name}.py" for name in ("command", "integrate", "wrong_partners")),
}
"""Test files that start servers or processes of ours without a fixture that says so."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with its height, which follows from what it uses; files that start processes come first.

    Two workers take a file each until there are none: what is left at the end should be short.
    """
    files: dict[Path, int] = {}
    for item in items:
        if isinstance(item, pytest.Function):
            height = height_of(item.path.relative_to(TESTS).as_posix(), frozenset(item.fixturenames))
            item.add_marker(height)
            files[item.path] = max(files.get(item.path, 0), HEIGHTS.index(height))
    items.sort(key=lambda item: -files.get(item.path, 0))


def height_of(path: str, fixtures: frozenset[str]) -> str:
    """unit: no server; postgres: a database of its own; system: processes of ours; faults: what kills them."""
    if path.startswith(("faults/", "brokers/", "failover/")):
        return "faults"
    if "system" in fixtures or path in PROCESSES:
        return "system"
    if "database_url" in fixtures:
        return "postgres"
    return "system" if "servers" in fixtures else "unit"


TOGETHER = ("conformance", "endpoints", "proof", "simulator")
"""Folders whose tests share a system that takes seconds to fill: one worker runs all of such a folder."""


class ByFileOrFolder(LoadFileScheduling):
    """A file goes to one worker whole, and so does a folder of `TOGETHER`."""

    def _split_scope(self, nodeid: str) -> str:
        file = Path(super()._split_scope(nodeid))
        return str(file.parent if file.parent.name in TOGETHER else file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    return ByFileOrFolder(config, log) if config.getvalue("dist") == "loadfile" else None


HEIGHTS = ("unit", "postgres", "system", "faults")
SERVERS = {"java", "initdb", "postgres"}
_without_servers: list[str] = []


@pytest.fixture(autouse=True)
def _no_server_in_a_unit(request: pytest.FixtureRequest) -> Iterator[None]:
    """A file that PROCESSES lacks shows here."""
    if request.node.get_closest_marker("unit"):
        _without_servers.append(request.node.nodeid)
    yield
    _without_servers.clear()


def _refuse_servers(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "subprocess.Popen" or not _without_servers:
        return
    words = [os.fsdecode(word) for word in arguments[1]]
    if Path(words[0]).name in SERVERS or ["cli", "up"] == words[2:4]:
        raise AssertionError(f"{_without_servers[-1]} is a unit, and starts {words[:4]}")


sys.addaudithook(_refuse_servers)
