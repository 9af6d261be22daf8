"""Doors that need an ingress of their own: TLS, operators with few rights, several keys, tokens without jti."""

import hashlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID

from bitgo.client import SIGNATURE, reserve_body, sign
from schemas.words import Kind
from tests.support.raw import line_to
from tests.support.servers import Servers
from tests.support.system import ENTERPRISE, System, shared_system

PARTNERS = f"/api/network/v1/enterprises/{ENTERPRISE}/partners/allocations"


@pytest.fixture(scope="module")
async def system(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    async with shared_system(servers, template, tmp_path_factory.mktemp("doors")) as started:
        await started.processor()
        yield started


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    import ipaddress  # noqa: PLC0415

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "chain.key"
    chain.write_bytes(signed.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return chain, secret


async def test_tls(system: System) -> None:
    chain, secret = certificate(system.folder)
    bitgo = await system.ingress("tls", tls_certificate_file=str(chain), tls_key_file=str(secret), receive_seconds="1")
    url = system.urls["tls"].replace("http:", "https:")
    trust = ssl.create_default_context(cafile=str(chain))
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}{PARTNERS}", headers=bitgo.headers(), ssl=trust) as response:
            assert (200, {"allocations": []}) == (response.status, await response.json())
        with pytest.raises(aiohttp.ClientError):
            await session.get(f"{url.replace('https', 'http')}{PARTNERS}")
    async with line_to(url) as silent:
        assert await silent.rest(5) == b""


async def test_an_operator_needs_the_permission_to_read(system: System) -> None:
    tokens = [
        {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "permissions": permissions}
        for name, permissions in (
            ("reads", ["settlement_network_read"]),
            ("writes", ["settlement_network_write"]),
            ("nothing", []),
        )
    ]
    file = system.folder / "tokens.json"
    file.write_text(json.dumps(tokens))
    async with await system.ingress("permissions", operator_tokens_file=str(file)) as bitgo:
        for name, status in (("reads", 200), ("writes", 403), ("nothing", 403), ("nobody", 401)):
            reply = await bitgo.call("GET", PARTNERS, {"Authorization": f"Bearer {name}"})
            assert status == reply.status
            if status == 403:
                assert {"error": "the token lacks the permission settlement_network_read"} == reply.body


async def test_keys_are_rotated_by_naming_two(system: System) -> None:
    """A kid that names a key selects it, and only it; without one all are tried."""
    files, keys = [], {}
    for name in ("old", "new"):
        keys[name] = rsa.generate_private_key(65537, 2048)
        file = system.folder / f"{name}.pem"
        file.write_bytes(keys[name].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        files.append(str(file))
    async with await system.ingress("two-keys", bitgo_public_key_files=",".join(files)) as bitgo:
        for name, key in keys.items():
            assert (await bitgo.call("GET", PARTNERS, {SIGNATURE: sign(key)})).status == 200
            for kid, status in ((name, 200), ("unknown", 200), ("new" if name == "old" else "old", 401)):
                claims = {"exp": int(datetime.now(UTC).timestamp()) + 30, "jti": str(uuid.uuid4())}
                token = jwt.encode(claims, key, "RS256", headers={"kid": kid})
                assert status == (await bitgo.call("GET", PARTNERS, {SIGNATURE: token})).status
        assert (await bitgo.call("GET", PARTNERS)).status == 401


async def test_a_partner_may_do_without_jti_and_allow_longer_lives(system: System) -> None:
    async with await system.ingress("without-jti", require_jti="false", max_token_age_seconds="600") as bitgo:
        claims = {"exp": int(datetime.now(UTC).timestamp()) + 590}
        token = {SIGNATURE: jwt.encode(claims, bitgo.key, "RS256")}
        assert [200, 200] == [(await bitgo.call("GET", PARTNERS, token)).status for _ in range(2)]
        once = bitgo.headers()
        assert [200, 401] == [(await bitgo.call("GET", PARTNERS, once)).status for _ in range(2)]


async def test_the_base_path_is_a_setting(system: System) -> None:
    async with await system.ingress("elsewhere", base_path="/partner/bitgo") as bitgo:
        assert (await bitgo.call("GET", f"/partner/bitgo/allocation/{uuid.uuid4()}")).body["code"] == "not_found"
        accepted = await bitgo.call(
            "PUT", f"/partner/bitgo/allocation/{uuid.uuid4()}/clear", bitgo.headers() | {"Prefer": "respond-async"}
        )
        assert accepted.headers["Location"].startswith("/partner/bitgo/allocation/")
        document = (await bitgo.call("GET", "/openapi.json", {})).body
        assert "/partner/bitgo/allocations" in document["paths"]


async def test_a_trace_goes_from_the_request_to_the_journal(system: System) -> None:
    trace = f"00-{uuid.uuid4().hex}-{'b' * 16}-01"
    found = []
    async with await system.ingress("tracing") as bitgo:
        for sent in (trace, "junk"):
            own = str(uuid.uuid4())
            await bitgo.call("PUT", f"/bitgo/v1/allocation/{own}/clear", bitgo.headers() | {"traceparent": sent})
            [row] = system.rows("SELECT traceparent FROM journal WHERE subject_id = %s", own)
            found.append(row["traceparent"])
    assert trace == found[0]
    assert found[1].startswith("00-")
    assert found[1] != trace


async def test_metrics_count_what_happened(system: System) -> None:
    async with await system.ingress("counting") as bitgo:
        before = await system.metrics("processor-0")
        await bitgo.call("GET", PARTNERS, {})
        await bitgo.call("GET", PARTNERS)
        await bitgo.call("PUT", f"/bitgo/v1/allocation/{uuid.uuid4()}/clear")
        waiting = reserve_body(Kind.ALLOCATION, 5)
        await bitgo.reserve(Kind.ALLOCATION, waiting)
        for quantity in (5, 6):
            early = reserve_body(Kind.DEALLOCATION, quantity, connectionId=waiting["connectionId"])
            await bitgo.reserve(Kind.DEALLOCATION, early)
            await bitgo.clear(Kind.DEALLOCATION, early["deallocationId"])
        ingress, processor = await system.metrics("counting"), await system.metrics("processor-0")
    route = f'route="{PARTNERS.replace(ENTERPRISE, "{enterpriseId}")}"'
    assert ingress[f'ingress_requests_total{{code="",method="GET",{route},status="200"}}'] == 1
    assert ingress['ingress_unauthorized_total{reason="missing"}'] == 1
    assert ingress["allocations_ready"] == 1
    rejections = 'processor_rejections_total{{cause="{}",kind="deallocation",reason="insufficient_balance"}}'
    for name, count in {
        'processor_commands_total{kind="allocation",outcome="refused",reason="not_found",verb="clear"}': 1,
        rejections.format("uncleared_allocation"): 1,
        rejections.format(""): 1,
        "processor_clears_of_rejected_total": 2,
    }.items():
        assert (name, count) == (name, processor[name] - before.get(name, 0))
