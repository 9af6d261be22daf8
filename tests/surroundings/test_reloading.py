"""Secrets that are replaced on disk while everything runs."""

import asyncio
import hashlib
import json
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from bitgo.client import reserve_body
from local.ports import reserve_port
from schemas.words import Kind
from tests.support.own_postgres import own_postgres
from tests.support.servers import Servers
from tests.support.system import ENTERPRISE, System, running_system, shared_system

LIST = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("reloading")) as started:
        await started.processor()
        yield started


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.1)


def certificate(folder: Path, days: int) -> x509.Certificate:
    """Written with its key, as `shown.pem` and `shown.key`."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=days))
        .sign(key, SHA256())
    )
    (folder / "shown.pem").write_bytes(made.public_bytes(Encoding.PEM))
    (folder / "shown.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return made


def shown(port: int, name: str | None) -> int:
    """The serial number of the certificate that a caller sees who asks for a server of this name, or for none."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname=name) as tls,
    ):
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"").serial_number


async def test_a_certificate_that_is_replaced_is_shown(system: System, tmp_path: Path) -> None:
    port, before = reserve_port(), certificate(tmp_path, 1)
    files = {"tls_certificate_file": str(tmp_path / "shown.pem"), "tls_key_file": str(tmp_path / "shown.key")}
    await system.ingress("tls", port=str(port), **files)
    assert before.serial_number == await asyncio.to_thread(shown, port, "localhost")
    after = certificate(tmp_path, 30)
    system.supervisor.signal("tls", signal.SIGHUP)

    async def is_new() -> bool:
        return await asyncio.to_thread(shown, port, "localhost") == after.serial_number

    await until(is_new)
    assert after.serial_number == await asyncio.to_thread(shown, port, None)
    gauge = f'ingress_tls_certificate_expires_timestamp_seconds{{file="{files["tls_certificate_file"]}"}}'
    assert after.not_valid_after_utc.timestamp() == (await system.metrics("tls"))[gauge]

    (tmp_path / "shown.key").write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n")

    async def is_degraded() -> bool:
        return "files" in (await system.readyz("tls"))[1].get("degraded", {})

    await until(is_degraded)
    assert 200 == (await system.readyz("tls"))[0]
    assert after.serial_number == await asyncio.to_thread(shown, port, "localhost")
    last = certificate(tmp_path, 60)
    await until(lambda: _becomes(port, last.serial_number))
    assert "degraded" not in (await system.readyz("tls"))[1]
    assert "hunter2" not in system.log("tls").read_text()


async def _becomes(port: int, serial: int) -> bool:
    return await asyncio.to_thread(shown, port, "localhost") == serial


async def test_bitgo_s_key_and_an_operator_s_token_are_taken_up_by_themselves(system: System, tmp_path: Path) -> None:
    keys, tokens = tmp_path / "keys.pem", tmp_path / "operators.json"
    old, new = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    pems = [
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in (old, new)
    ]
    keys.write_text(pems[0])
    tokens.write_text("[]")
    bitgo = await system.ingress("keys", bitgo_public_key_files=str(keys), operator_tokens_file=str(tokens))
    bitgo.key = old

    async def status() -> int:
        return (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status

    async def operator_status() -> int:
        headers = {"Authorization": "Bearer secret"}
        async with aiohttp.ClientSession() as session, session.get(bitgo.url + LIST, headers=headers) as answer:
            return answer.status

    async with bitgo:
        assert (200, 401) == (await status(), await operator_status())
        keys.write_text("".join(pems))
        digest = hashlib.sha256(b"secret").hexdigest()
        tokens.write_text(json.dumps([{"name": "a", "sha256": digest, "permissions": ["settlement_network_read"]}]))
        bitgo.key = new
        await until(lambda: _is(200, status))
        await until(lambda: _is(200, operator_status))
        keys.write_text(pems[1])
        bitgo.key = old
        await until(lambda: _is(401, status))
        tokens.write_text("[]")
        await until(lambda: _is(401, operator_status))


async def _is(expected: int, status: Callable[[], Awaitable[int]]) -> bool:
    return await status() == expected


async def test_the_database_s_password_is_taken_up(servers: Servers, tmp_path: Path) -> None:
    file = tmp_path / "password"
    async with own_postgres(tmp_path / "own") as postgres:
        user, _, rest = postgres.url.removeprefix("postgresql://").partition(":")
        password, _, where = rest.partition("@")
        file.write_text(f"{password}\n")
        settings = {"postgres_url": f"postgresql://{user}@{where}", "postgres_password_file": str(file)}
        async with running_system(servers, postgres.url, tmp_path) as system:
            await system.processor(**settings)
            async with await system.ingress(**settings) as bitgo:
                assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
                with psycopg.connect(postgres.superuser_url, autocommit=True) as superuser:
                    superuser.execute(f"ALTER ROLE {user} PASSWORD 'the next one'".encode())
                    file.write_text("the next one\n")
                    superuser.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", (user,)
                    )

                async def status() -> int:
                    return (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status

                await until(lambda: _is(200, status))


async def test_a_processor_lives_on_after_sighup(system: System) -> None:
    pid = system.supervisor.pids()["processor-0"]
    system.supervisor.signal("processor-0", signal.SIGHUP)
    await asyncio.sleep(0.5)
    assert pid == system.supervisor.pids()["processor-0"]
