"""What a Postgres may do to an ingress without being away: it refuses for a while, and all heals by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bitgo.client import BitGo, Reply, reserve_body
from ingress.app import CLAIM_LANES
from schemas.words import Kind
from tests.faults.conftest import Machine
from tests.support.system import System

FAR_AHEAD = '{"next": {"0":900,"1":900,"2":900,"3":900,"4":900,"5":900,"6":900,"7":900}, "outcomes": []}'
HEAL_SECONDS = 8.0


class Superuser:
    """Whoever runs the server."""

    def __init__(self, machine: Machine) -> None:
        self._address = make_conninfo(machine.postgres.url, user="postgres", dbname="postgres")

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self._address, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @asynccontextmanager
    async def set(self, setting: str, value: str) -> AsyncIterator[None]:
        """A setting of the whole server, and back."""
        self.execute(f"ALTER SYSTEM SET {setting} = '{value}'", "SELECT pg_reload_conf()")
        await asyncio.sleep(0.3)
        try:
            yield
        finally:
            self.execute(f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")

    @contextmanager
    def stranger(self, system: System) -> Iterator[str]:
        """The address of the system's database for a role that has no rights in it but to connect."""
        self.execute("DROP ROLE IF EXISTS stranger", "CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
        yield make_conninfo(system.database_url, user="stranger", password="stranger")
        self.execute("DROP ROLE stranger")


@pytest.fixture
def superuser(machine: Machine) -> Superuser:
    return Superuser(machine)


async def reserve(bitgo: BitGo) -> Reply:
    return await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))


async def heals(bitgo: BitGo, system: System) -> float:
    """Until ten writes in a row are answered 200 and the ingress is ready; gives the seconds that it took."""
    started, good = time.monotonic(), 0
    while good < 10:
        reply = await reserve(bitgo)
        good = good + 1 if reply.status == 200 else 0
        assert time.monotonic() - started < 30, reply
        await asyncio.sleep(0.05)
    healed = time.monotonic() - started
    await system.ready("ingress-0")
    return healed


def claims(system: System) -> int:
    return int(system.rows("SELECT count(*) FROM token_claim")[0]["count"])


def connections(system: System, name: str) -> int:
    rows = system.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = %s", name
    )
    return int(rows[0]["count"])


async def test_given_a_server_that_is_read_only_for_35_seconds_then_503_and_it_heals_by_itself(
    superuser: Superuser, fragile: System
) -> None:
    """As after a failover or on a full managed disk. Long enough for used tokens to be deleted, which fails too."""
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        assert (await reserve(bitgo)).status == 200
        before = fragile.supervisor.pids()["ingress-0"]
        async with superuser.set("default_transaction_read_only", "on"):
            until = time.monotonic() + 35
            while time.monotonic() < until:
                reply = await reserve(bitgo)
                assert (503, "unavailable") == (reply.status, reply.body["code"])
                await asyncio.sleep(0.5)
            assert "pruning" in (await fragile.readyz("ingress-0"))[1].get("degraded", {})
        assert await heals(bitgo, fragile) < HEAL_SECONDS
        assert before == fragile.supervisor.pids()["ingress-0"]
    assert "ingress-0" not in dict(fragile.ended)


async def test_given_a_standby_that_is_not_there_then_connections_are_bounded_and_nothing_becomes_visible(
    superuser: Superuser, fragile: System
) -> None:
    """Every commit waits. The claim of a write that got 503 may come to an end later: nothing was published for it."""
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        body = reserve_body(Kind.ALLOCATION)
        assert (await bitgo.reserve(Kind.ALLOCATION, body)).status == 200
        async with superuser.set("synchronous_standby_names", "absent"):
            before, most, replies = claims(fragile), 0, []
            until = time.monotonic() + 25
            while time.monotonic() < until:
                replies += await asyncio.gather(*[reserve(bitgo) for _ in range(4)])
                most = max(most, connections(fragile, "allocations-ingress-claims"))
                await asyncio.sleep(0.2)
            assert {(503, "unavailable")} == {(reply.status, reply.body["code"]) for reply in replies}
            assert most == 2 * CLAIM_LANES
            assert before == claims(fragile), "a commit that no standby has became visible"
            metrics = await fragile.metrics("ingress-0")
            assert 2 * CLAIM_LANES == metrics["ingress_database_calls_abandoned"]
            assert replies[-1].seconds < 1, "once every connection waits, nobody waits for one"
        assert await heals(bitgo, fragile) < HEAL_SECONDS
        assert 0 == (await fragile.metrics("ingress-0"))["ingress_database_calls_abandoned"]
        assert connections(fragile, "allocations-ingress-claims") <= CLAIM_LANES


async def test_given_a_standby_that_is_not_there_then_a_process_that_stops_cancels_no_commit(
    superuser: Superuser, fragile: System
) -> None:
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        assert (await reserve(bitgo)).status == 200
        async with superuser.set("synchronous_standby_names", "absent"):
            before = claims(fragile)
            assert (await reserve(bitgo)).status == 503
            await fragile.supervisor.remove("ingress-0")
            await asyncio.sleep(1)
            assert before == claims(fragile)


async def test_given_a_role_without_rights_then_it_neither_moves_a_position_nor_hears_an_outcome(
    superuser: Superuser, fragile: System
) -> None:
    """It knows the channel that a version before used, and guesses at another."""
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        with (
            superuser.stranger(fragile) as address,
            psycopg.connect(address, autocommit=True) as connection,
        ):
            for channel in ("watermark", "outcomes"):
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            for statement in (b"SELECT * FROM notification_channel", b"SELECT listen_to_outcomes()"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(statement)
            connection.execute("SELECT pg_notify(%s, %s)", ("watermark", FAR_AHEAD))
            assert {200} == {(await reserve(bitgo)).status for _ in range(16)}
            heard = [each.payload for each in connection.notifies(timeout=0.5)]
        assert [FAR_AHEAD] == heard
        assert 200 == (await fragile.readyz("ingress-0"))[0]


async def test_given_that_every_connection_is_terminated_then_no_request_fails_of_an_idle_one(
    fragile: System,
) -> None:
    await fragile.processor()
    async with await fragile.ingress() as bitgo:
        assert (await reserve(bitgo)).status == 200
        for _ in range(5):
            fragile.rows(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                "AND application_name ~ '^allocations-ingress'"
            )
            await asyncio.sleep(0.1)
            assert (await reserve(bitgo)).status == 200


async def test_given_a_full_queue_of_notifications_then_writes_are_answered_by_the_poll(
    machine: Machine, superuser: Superuser, fragile: System
) -> None:
    """Filled by a role without rights, which listens and keeps a transaction open."""
    superuser.execute("ALTER SYSTEM SET max_notify_queue_pages = 64")
    await machine.kill("postgres")
    try:
        await fragile.processor()
        async with await fragile.ingress() as bitgo:
            assert (await reserve(bitgo)).status == 200
            with superuser.stranger(fragile) as address, psycopg.connect(address, autocommit=True) as holder:
                holder.execute("LISTEN anything")
                holder.execute("BEGIN")
                holder.execute("SELECT 1")
                with pytest.raises(psycopg.errors.ProgramLimitExceeded):
                    fill_the_queue(address)
                assert {200} == {(await reserve(bitgo)).status for _ in range(10)}
                for name in fragile.health:
                    assert 200 == (await fragile.readyz(name))[0]
    finally:
        superuser.execute("ALTER SYSTEM RESET max_notify_queue_pages")
        await machine.kill("postgres")


def fill_the_queue(address: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        for _ in range(100):
            connection.execute("SELECT pg_notify('anything', repeat('a', 7900))")
