"""Processes and verbs on a broker with TLS and SASL, whose sessions end after three seconds."""

import asyncio
import os
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from bitgo.client import BitGo, reserve_body
from schemas.words import Kind
from tests.brokers import tokens
from tests.brokers.secured import REAUTH_MS, SecuredKafka
from tests.brokers.system_on import environment, system_on, verified
from tests.brokers.tokens import SECRET
from tests.support.cli import Ran, run
from tests.support.servers import Servers
from tests.support.system import System
from tests.support.traffic import Traffic, entered

SILENCE_SECONDS = 5.0
"""Far above what a new connection takes, so that a busy machine fails no test."""


def said(system: System) -> str:
    return "".join(system.log(name).read_text() for name in system.health)


async def reserved(bitgo: BitGo) -> int:
    return (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"])
async def test_given_sasl_over_tls_then_everything_works(
    secured: SecuredKafka, beside: Servers, tmp_path: Path, mechanism: str
) -> None:
    given = secured.sasl(mechanism)
    async with system_on(beside, tmp_path) as system:
        await system.processor(**given)
        async with await system.ingress(**given) as bitgo:
            assert 200 == await reserved(bitgo)
        await system.records(system.topics.events, 1)
        verbs = environment(system, given)
        for arguments in (
            ["topics", "--replication", "1", "--partitions", "8"],
            ["verify"],
            ["capture", tmp_path / "captured"],
            ["dead-letters", "list"],
        ):
            ran: Ran = await run(*arguments, **verbs)
            assert 0 == ran.status, f"{arguments}: {ran.err}"
            assert SECRET not in ran.out + ran.err
        assert SECRET not in said(system)
        assert "Traceback" not in said(system)


async def test_given_sessions_that_end_under_load_then_nothing_is_lost_or_doubled(
    secured: SecuredKafka, beside: Servers, tmp_path: Path
) -> None:
    """The broker closes a connection whose session has ended, since aiokafka does not authenticate on it again."""
    async with system_on(beside, tmp_path) as system, AsyncExitStack() as stack:
        given = secured.sasl("OAUTHBEARER", kafka_token_provider="tests.brokers.tokens:short")
        await system.processor(**given)
        traffic = Traffic(await entered(stack, await system.ingress(**given)), clients=4)
        begun = time.monotonic()
        await traffic.during(lambda: asyncio.sleep(REAUTH_MS / 1000 * 6), after=1)
        await system.caught_up()
        traffic.check(system)
        silence = traffic.longest_silence(begun)
        print(f"{len(traffic.answers)} answers, longest silence {silence:.2f} s, {dict(traffic.codes)}")
        events = await system.records(system.topics.events, len(traffic.answers))
        sources = [dict(record.headers)["ce_id"] for record in events]
        assert len(sources) == len(set(sources))
        assert silence < SILENCE_SECONDS
        assert [] == system.ended
        await verified(system, given)


async def test_given_a_wrong_password_then_a_process_waits_and_says_so_until_it_is_right(
    secured: SecuredKafka, beside: Servers, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text("a wrong one")
    given = {name: value for name, value in secured.sasl().items() if name != "kafka_sasl_password"}
    given["kafka_sasl_password_file"] = str(file)
    async with system_on(beside, tmp_path) as system:
        await system.processor(wait=False, **given)
        await system.ingress(wait=False, **given)
        for name in system.health:
            await waits_for(system, name, "SaslAuthenticationFailed", secured.at("sasl"))
        ran = await run("verify", **environment(system, given))
        assert (78, True) == (ran.status, "SaslAuthenticationFailed" in ran.err), ran.err
        file.write_text(f"{SECRET}\n")
        for name in system.health:
            await system.ready(name)
        assert [] == system.ended
        assert "a wrong one" not in said(system) + ran.err
        assert SECRET not in said(system)
        assert "Traceback" not in said(system)


async def test_given_a_password_that_is_changed_then_the_next_connections_have_it(
    secured: SecuredKafka, beside: Servers, tmp_path: Path
) -> None:
    """In Kafka first, then in the file; within seconds every connection is a new one, because sessions end."""
    file = tmp_path / "password"
    file.write_text(SECRET)
    given = {name: value for name, value in secured.sasl().items() if name != "kafka_sasl_password"}
    given["kafka_sasl_password_file"] = str(file)
    async with system_on(beside, tmp_path) as system:
        await system.processor(**given)
        async with await system.ingress(**given) as bitgo:
            assert 200 == await reserved(bitgo)
            try:
                await secured.set_password("another one")
                file.write_text("another one")
                await asyncio.sleep(REAUTH_MS / 1000 + 1)
                async with asyncio.timeout(30):
                    while await reserved(bitgo) != 200:
                        await asyncio.sleep(0.2)
            finally:
                await secured.set_password(SECRET)
        assert [] == system.ended


async def waits_for(system: System, name: str, *words: str) -> None:
    """Until /readyz of a process has the words; it does not end."""
    problems = ""
    async with asyncio.timeout(30):
        while not all(word in problems for word in words):
            await asyncio.sleep(0.1)
            problems = str((await system.readyz(name))[1].get("problems"))


async def test_given_client_certificates_with_an_encrypted_key_then_a_replaced_one_is_taken_up(
    secured: SecuredKafka, beside: Servers, tmp_path: Path
) -> None:
    """The first one expires; the process lives on, and connects with the second, which has another password."""
    certificate, key = secured.authority.sign("ours", password=SECRET)
    password = tmp_path / "password"
    password.write_text(SECRET)
    given = secured.tls(
        "mutual",
        kafka_ssl_certificate_file=str(certificate),
        kafka_ssl_key_file=str(key),
        kafka_ssl_key_password_file=str(password),
    )
    async with system_on(beside, tmp_path) as system:
        await system.processor(**given)
        async with await system.ingress(**given) as bitgo:
            assert 200 == await reserved(bitgo)
            secured.authority.sign("ours", days=-1, password=SECRET)
            refused = await run("verify", **environment(system, given))
            assert (78, True) == (refused.status, "KAFKA_SSL_CERTIFICATE_FILE" in refused.err), refused.err
            secured.authority.sign("ours", password="the next")
            password.write_text("the next")
            await verified(system, given)
            assert 200 == await reserved(bitgo)
        assert [] == system.ended
        assert SECRET not in said(system)


async def test_given_a_token_that_is_replaced_in_a_file_then_the_next_connections_have_it(
    secured: SecuredKafka, beside: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(tokens.expired())
    monkeypatch.setenv("TOKEN_FILE", str(file))
    assert str(file) == os.environ["TOKEN_FILE"]
    given = secured.sasl("OAUTHBEARER", kafka_token_provider="tests.brokers.tokens:from_file")
    async with system_on(beside, tmp_path) as system:
        await system.processor(wait=False, **given)
        await waits_for(system, "processor-0", "does not accept the token")
        file.write_text(tokens.valid())
        await system.ready("processor-0")
        assert file.read_text() not in said(system)
