"""Addresses, files and signals that look right and are not, and headers of whoever stands in front of an ingress."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from bitgo.client import reserve_body
from local.ports import reserve_port
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.support.certificates import issued
from tests.support.cli import finish, run, start
from tests.support.servers import Servers
from tests.support.system import System, shared_system


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("odd")) as started:
        await started.processor()
        yield started


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"PORT": "9090", "METRICS_PORT": "9090"}, "port and metrics_port are the same"),
        ({"BASE_PATH": "/platform/v1"}, "base_path lies under /platform"),
        ({"BASE_PATH": "/api/network/v1"}, "base_path lies under /platform or /api/network"),
        ({"HOST": "::", "PORT": "0"}, "without TLS this process may not listen on ::"),
        ({"HOST": "::ffff:192.0.2.1"}, "without TLS this process may not listen on"),
        ({"HOST": ""}, "without TLS this process may not listen on"),
    ],
    ids=[
        "one port twice",
        "operators' paths",
        "BitGo's read paths",
        "every IPv6 address",
        "a mapped address",
        "no host",
    ],
)
async def test_where_it_must_not_listen(settings: dict[str, str], given: dict[str, str], words: str) -> None:
    ran = await run("ingress", **settings | {f"INGRESS_{name}": value for name, value in given.items()})
    assert EXIT_OPERATOR == ran.status
    assert words in ran.err


@pytest.mark.parametrize(
    "what", ["empty key", "key folder", "certificate folder", "empty certificate", "key of another"]
)
async def test_certificates_that_are_none(settings: dict[str, str], tmp_path: Path, what: str) -> None:
    own, other = issued("own"), issued("other")
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    certificate.write_bytes(b"" if what == "empty certificate" else own.pem)
    key.write_bytes({"empty key": b"", "key of another": other.key_pem}.get(what, own.key_pem))
    files = {
        "INGRESS_TLS_CERTIFICATE_FILE": str(tmp_path if what == "certificate folder" else certificate),
        "INGRESS_TLS_KEY_FILE": str(tmp_path if what == "key folder" else key),
    }
    ran = await run("ingress", **settings | files)
    assert EXIT_OPERATOR == ran.status
    assert "the TLS certificate or its key can not be loaded" in ran.err


@pytest.mark.parametrize("what", ["none", "a file", "a datagram socket"])
async def test_inherited_sockets_that_are_none_with_tls(settings: dict[str, str], tmp_path: Path, what: str) -> None:
    own = issued("own")
    (tmp_path / "tls.crt").write_bytes(own.pem)
    (tmp_path / "tls.key").write_bytes(own.key_pem)
    datagram = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    file = os.open(tmp_path / "tls.crt", os.O_RDONLY)
    descriptor = {"none": 99, "a file": file, "a datagram socket": datagram.fileno()}[what]
    if descriptor != 99:
        os.set_inheritable(descriptor, True)  # noqa: FBT003
    given = {
        "INGRESS_TLS_CERTIFICATE_FILE": str(tmp_path / "tls.crt"),
        "INGRESS_TLS_KEY_FILE": str(tmp_path / "tls.key"),
        "INGRESS_LISTEN_FD": str(descriptor),
    }
    try:
        ran = await run("ingress", **settings | given)
    finally:
        datagram.close()
        os.close(file)
    assert EXIT_OPERATOR == ran.status
    assert "can not be listened on" in ran.err


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _has_ipv6(), reason="needs the address ::1")
async def test_ipv6(settings: dict[str, str]) -> None:
    process = await start("ingress", **settings | {"INGRESS_METRICS_HOST": "::1", "INGRESS_HOST": "::1"})
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while b'"started"' not in (line := await process.stderr.readline()):
            assert line, "it ended"
    url = json.loads(line)["metrics"]
    async with aiohttp.ClientSession() as session, session.get(f"{url}/livez") as answer:
        assert 200 == answer.status
    process.terminate()
    assert 0 == (await finish(process)).status


@pytest.mark.long
async def test_given_a_stop_that_drains_then_neither_sighup_nor_another_sigterm_cuts_it_short(system: System) -> None:
    async with await system.ingress("twice", drain_seconds="3") as bitgo:
        began = asyncio.get_running_loop().time()
        for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            system.supervisor.signal("twice", each)
            await asyncio.sleep(0.3)
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        async with asyncio.timeout(15):
            while ("twice", 0) not in system.ended:
                await asyncio.sleep(0.05)
    assert asyncio.get_running_loop().time() - began > 2.9
    assert '"not_reloaded"' not in system.log("twice").read_text()


@pytest.mark.long
async def test_given_port_0_then_the_log_says_which(system: System) -> None:
    await system.ingress("any", port="0")
    listening = next(line for line in system.log("any").read_text().splitlines() if '"listening"' in line)
    port = int(json.loads(listening)["addresses"][0].rpartition(" ")[2].rstrip(")"))
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/readyz") as answer:
        assert 200 == answer.status


@pytest.fixture
async def port(system: System) -> int:
    if "front" not in system.supervisor.pids():
        await system.ingress("front", port=str(reserve_port()))
    listening = next(line for line in system.log("front").read_text().splitlines() if '"listening"' in line)
    return int(json.loads(listening)["addresses"][0].rpartition(" ")[2].rstrip(")"))


async def answered(port: int, request: bytes) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(15):
        head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.decode()


@pytest.mark.long
@pytest.mark.parametrize(
    "headers",
    [
        "X-Forwarded-For: 127.0.0.1, evil\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\n",
        'Forwarded: for="[::1";proto=javascript;host=evil\r\nX-Real-IP: not an address\r\n',
        "X-HTTP-Method-Override: DELETE\r\nX-Original-URL: /metrics\r\nX-Rewrite-URL: /metrics\r\n",
        "Via: 1.1 evil\r\nTrue-Client-IP: 127.0.0.1\r\nX-Forwarded-Prefix: //evil\r\n",
    ],
)
async def test_headers_of_a_proxy_change_nothing(port: int, headers: str) -> None:
    for path, status in (("/readyz", " 200 "), ("/metrics", " 404 "), ("/bitgo/v1/allocation/x", " 401 ")):
        answer = await answered(port, f"GET {path} HTTP/1.1\r\nHost: evil\r\n{headers}\r\n".encode())
        assert status in answer.partition("\r\n")[0]
        assert "evil" not in answer


@pytest.mark.long
async def test_a_line_of_the_proxy_protocol_is_malformed(port: int) -> None:
    answer = await answered(port, b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert " 400 " in answer.partition("\r\n")[0]


@pytest.mark.long
async def test_the_absolute_form_of_a_proxy_is_the_path_s(port: int) -> None:
    answer = await answered(port, b"GET http://evil/readyz HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.startswith(("HTTP/1.1 200 ", "HTTP/1.1 404 "))
    assert "evil" not in answer
