"""BitGo's server: who may call, in which form refusals come, limits, start and stop (contract, sections 5 and 7)."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from bitgo.simulator.api.access import _is_local
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.server import ENDPOINTS
from bitgo.simulator.tokens import load_tokens
from service.errors import OperatorError
from tests.support.bitgo_desk import BOTH, NONE, READ, WRITE, Desk, open_desk

SOME_ID = "8c1c0e3f-6c5e-4f0e-9a55-3d3b7d1f6a52"
READ_NAME, WRITE_NAME = "Settlement Network - Read", "Settlement Network - Write"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path / "ledger") as opened:
        yield opened


def _request(endpoint: str) -> tuple[str, str]:
    method, _, path = endpoint.partition(" ")
    return method, path.replace("{allocationId}", SOME_ID).replace("{settlementId}", SOME_ID)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
@pytest.mark.parametrize("bearer", [None, "", "another", f"{BOTH}x"])
async def test_without_a_known_token_it_is_401(desk: Desk, endpoint: str, bearer: str | None) -> None:
    answer = await desk.call(*_request(endpoint), bearer=bearer)
    assert (401, {"error": "the access token is missing or not valid"}) == (answer.status, answer.body)


async def test_a_token_of_another_scheme_is_401(desk: Desk) -> None:
    answer = await desk.call("GET", "balances", bearer=None, headers={"Authorization": f"Basic {BOTH}"})
    assert 401 == answer.status


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_missing_permission_is_named(desk: Desk, endpoint: str) -> None:
    missing = {}
    for bearer in (NONE, READ, WRITE, BOTH):
        answer = await desk.call(*_request(endpoint), bearer=bearer)
        missing[bearer] = answer.body["error"] if answer.status == 403 else None
    lacks = "the access token lacks the permission "
    if endpoint.startswith("GET"):
        assert {NONE: lacks + READ_NAME, READ: None, WRITE: lacks + READ_NAME, BOTH: None} == missing
    else:
        both = f"{lacks}{READ_NAME} and {WRITE_NAME}"
        assert {NONE: both, READ: lacks + WRITE_NAME, WRITE: lacks + READ_NAME, BOTH: None} == missing


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_foreign_enterprise_is_404(desk: Desk, endpoint: str) -> None:
    method, path = _request(endpoint)
    foreign = desk.path(path).replace("enterprise-1", "enterprise-2")
    answer = await desk.call(method, foreign)
    assert (404, {"error": "enterprise not found"}) == (answer.status, answer.body)


@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_a_parameter_that_is_not_known_is_400(desk: Desk, endpoint: str) -> None:
    """`ids[]=…`, as axios writes a list, included: an ignored filter would return foreign rows."""
    method, path = _request(endpoint)
    for name in ("allocationIds[]", "pagesize", "x"):
        answer = await desk.call(method, path, params={name: "1"})
        assert (400, {}) == (answer.status, answer.body)
        assert f"{name} is not known here" == answer.headers["Simulator-Reason"]


@pytest.mark.parametrize("path", ["/api/network/v1/nothing", "/api/network/v3/x", "/nothing", "/"])
async def test_an_unknown_path_is_404(desk: Desk, path: str) -> None:
    answer = await desk.call("GET", path)
    assert (404, {"error": "not found"}) == (answer.status, answer.body)


async def test_an_unknown_method_is_405(desk: Desk) -> None:
    answer = await desk.call("DELETE", "allocations")
    assert (405, "GET,PUT") == (answer.status, answer.headers["Allow"])


BODIES = ["PUT allocations", "PUT deallocations", "POST settlements", "POST v2/settlements", "POST settlements-signing"]


@pytest.mark.parametrize("endpoint", BODIES)
@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'"x"', b'{"a":1,"a":1}', b"\xff", b"{}", b'{"x":NaN}', b"null"]
)
async def test_a_body_that_is_no_request_is_400(desk: Desk, endpoint: str, body: bytes) -> None:
    answer = await desk.call(*_request(endpoint), body)
    assert (400, {}) == (answer.status, answer.body)
    assert answer.headers["Simulator-Reason"]


@pytest.mark.parametrize("endpoint", BODIES)
async def test_a_body_that_is_not_called_json_is_400(desk: Desk, endpoint: str) -> None:
    answer = await desk.call(*_request(endpoint), b"{}", headers={"Content-Type": "text/plain"})
    assert (400, {}) == (answer.status, answer.body)


@pytest.mark.parametrize("endpoint", BODIES)
async def test_a_body_over_the_limit_is_413(desk: Desk, endpoint: str) -> None:
    answer = await desk.call(*_request(endpoint), b" " * (1024 * 1024 + 1))
    assert (413, {"error": "the body is over 1048576 bytes"}) == (answer.status, answer.body)


async def test_it_says_what_can_be_called(desk: Desk) -> None:
    told = (await desk.call("GET", "/simulator", bearer=None)).body
    for endpoint in ENDPOINTS:
        method, _, path = endpoint.partition(" ")
        assert f"{method} {desk.path(path)}".replace("enterprise-1", "{enterpriseId}") in told["endpoints"]
    assert "POST /simulator/trouble" in told["endpoints"]


@pytest.mark.parametrize(("address", "is_local"), [
    ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("192.0.2.1", False),
    ("::ffff:192.0.2.1", False), ("fe80::1%eth0", False), ("203.0.113.5", False),
])  # fmt: skip
def test_the_simulators_own_endpoints_are_for_this_machine(address: str, is_local: bool) -> None:  # noqa: FBT001
    request = make_mocked_request("GET", "/simulator/trouble").clone(remote=address)
    assert is_local == _is_local(request)


def test_a_file_of_tokens(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    file.write_text(json.dumps([{"name": "one", "sha256": "0" * 64, "permissions": ["read"]}]))
    assert ["one"] == [each.name for each in load_tokens(file)]
    file.write_text(json.dumps([{"name": "one", "sha256": "my-secret-token", "permissions": ["read"]}]))
    with pytest.raises(OperatorError) as refused:
        load_tokens(file)
    assert "sha256" in str(refused.value)
    assert "my-secret-token" not in str(refused.value)
    with pytest.raises(OperatorError, match="can not be read"):
        load_tokens(tmp_path / "missing")


@pytest.mark.slow
async def test_an_address_that_is_taken_is_a_sentence(desk: Desk, tmp_path: Path) -> None:
    runner = await _start(tmp_path / "other", desk.url.rpartition(":")[2])
    _, errors = await runner.communicate()
    assert 78 == runner.returncode
    assert b"can not listen on 127.0.0.1" in errors


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_when_it_is_ready_and_stops_when_asked(tmp_path: Path, stop: signal.Signals) -> None:
    runner = await _start(tmp_path / "ledger", "0")
    assert runner.stdout is not None
    ready = json.loads(await runner.stdout.readline())
    async with aiohttp.ClientSession() as session, session.get(f"{ready['control']}/trouble") as response:
        assert {"waiting": []} == await response.json()
    runner.send_signal(stop)
    output, errors = await runner.communicate()
    assert (0, b"", b"") == (runner.returncode, output, errors)
    assert {"url", "enterpriseId", "partnerId", "goAccountKey", "control", "pid"} == ready.keys()


async def test_what_was_done_is_there_after_a_restart(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "ledger") as desk:
        connection = desk.connect()
        allocation = desk.fund(connection, 5)
        before = [await desk.call("GET", path) for path in (f"allocations/{allocation}", "balances")]
    async with open_desk(tmp_path / "ledger") as desk:
        after = [await desk.call("GET", path) for path in (f"allocations/{allocation}", "balances")]
    assert [each.body for each in before] == [each.body for each in after]
    assert 200 == after[0].status
    with Ledger(tmp_path / "ledger") as ledger:
        assert ledger.connection(connection) is not None


async def _start(file: Path, port: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.bitgo_process", str(file), port,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
