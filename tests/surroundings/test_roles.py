"""Three users of Postgres: one owns the tables, a processor and an ingress have the rights that they need."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bitgo.client import reserve_body
from cli.doctor.finding import Verdict
from cli.doctor.postgres_rights import check
from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from schemas.words import Kind
from tests.support.cli import Ran, run
from tests.support.dead_letters import misplace, reserve
from tests.support.operator import Operator, adjustment_body, fund, on
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.servers import Servers
from tests.support.system import System, running_system

pytestmark = pytest.mark.long
PASSWORD = "hunter2hunter2"
FORBIDDEN = {
    "ingress": (
        "UPDATE allocation SET version = version",
        "UPDATE connection SET version = version",
        "UPDATE account SET sequence = sequence",
        "UPDATE platform_account SET sequence = sequence",
        "UPDATE daily_usage SET sequence = sequence",
        "UPDATE watermark SET next_offset = 0",
        "INSERT INTO journal SELECT * FROM journal",
        "INSERT INTO allocation SELECT * FROM allocation",
        "INSERT INTO dead_letter_action SELECT * FROM dead_letter_action",
        "UPDATE token_claim SET expires_at = now()",
        "UPDATE connection_token SET expires_at = 'infinity'",
        "SELECT grant_to_processor('ingress')",
    ),
    "processor": (
        "ALTER TABLE allocation ADD COLUMN more text",
        "ALTER TABLE connection ADD COLUMN more text",
        "ALTER TABLE account ADD COLUMN more text",
        "ALTER TABLE journal ADD COLUMN more text",
        "DELETE FROM allocation",
        "DELETE FROM journal",
        "DELETE FROM ledger",
        "DELETE FROM watermark",
        "DELETE FROM log_identity",
        "TRUNCATE journal",
        "UPDATE journal SET hash = hash",
        "UPDATE ledger SET quantity = 1",
        "UPDATE allocation SET quantity = 1",
        "UPDATE log_identity SET partitions = 1",
        "UPDATE dead_letter SET value = NULL",
        "DELETE FROM dead_letter_action",
        "SELECT * FROM connection_token",
        "SELECT * FROM token_claim",
        "DROP FUNCTION save_batch",
        "SELECT grant_to_processor('processor')",
    ),
}
ALLOWED = {
    "ingress": (
        "DELETE FROM token_claim WHERE expires_at < least(now(), now())",
        "DELETE FROM connection_token WHERE expires_at < now() - interval '1 day'",
        "SELECT listen_to_outcomes()",
    ),
    "processor": (
        "UPDATE daily_usage SET total = total, sequence = sequence",
        "SELECT pg_notify((SELECT name FROM notification_channel), 'nothing')",
    ),
}


@dataclass(frozen=True)
class Roles:
    """`server.url` is the owner's."""

    server: OwnPostgres

    def url(self, role: str) -> str:
        return make_conninfo(self.server.url, user=role, password=PASSWORD)

    async def grant(self, *options: str) -> Ran:
        return await run("migrate", "--postgres", self.server.url, *options)


@pytest.fixture(scope="module")
async def roles(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Roles]:
    """Both have what `migrate` grants, twice."""
    async with own_postgres(tmp_path_factory.mktemp("server")) as server:
        with psycopg.connect(server.superuser_url, autocommit=True) as connection:
            for role in FORBIDDEN:
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'".encode())
        found = Roles(server)
        for _ in range(2):
            ran = await found.grant("--grant-processor", "processor", "--grant-ingress", "ingress")
            assert 0 == ran.status, ran
        yield found


@pytest.fixture
async def system(servers: Servers, roles: Roles, tmp_path: Path) -> AsyncIterator[System]:
    async with running_system(servers, roles.server.url, tmp_path) as system:
        yield system


async def test_given_roles_with_least_rights_then_everything_that_a_system_does_works(
    system: System, roles: Roles
) -> None:
    await system.processor(connections="registered", postgres_url=roles.url("processor"))
    async with await system.ingress(postgres_url=roles.url("ingress")) as bitgo:
        operator = Operator(system, bitgo)
        connection = await operator.connected()
        await fund(bitgo, connection, 10)
        body = reserve_body(Kind.DEALLOCATION, 4, **on(connection))
        assert 200 == (await bitgo.reserve(Kind.DEALLOCATION, body)).status
        assert 200 == (await bitgo.clear(Kind.DEALLOCATION, body["deallocationId"])).status
        adjustment = adjustment_body(connection["connectionId"], {"BTC": 7})
        assert 200 == (await operator.adjust(adjustment)).status
        for path in (
            f"/connections/{connection['connectionId']}/accounts?openHolds=true",
            f"/connections/{connection['connectionId']}/accounts/BTC/ledger",
            f"/connections/{connection['connectionId']}/history",
            f"/allocations/{body['deallocationId']}/history",
            f"/adjustments/{adjustment['adjustmentId']}",
            "/connections?limit=5",
            "/reservations",
            "/connection-tokens",
        ):
            reply = await operator.call("GET", path)
            assert 200 == reply.status, (path, reply)
        token = await operator.issue()
        assert 204 == (await operator.call("DELETE", f"/connection-tokens/{token['tokenHash']}")).status
        for word in ("deactivate", "reactivate"):
            assert 200 == (await operator.change(word, connection["connectionId"])).status
        places = await misplace(system, reserve(), reserve())
        await operates(system, roles, connection["connectionId"], places)
        await system.ready("ingress-0")
        assert {} == (await system.readyz("ingress-0"))[1].get("degraded", {})
    for name in ("processor-0", "ingress-0"):
        assert "InsufficientPrivilege" not in system.log(name).read_text()
        assert "permission denied" not in system.log(name).read_text()


async def operates(system: System, roles: Roles, connection: str, places: list[tuple[int, int]]) -> None:
    """The operators' commands, with a processor's role."""
    settings = {
        "PROCESSOR_KAFKA_BOOTSTRAP_SERVERS": system.kafka,
        "PROCESSOR_POSTGRES_URL": roles.url("processor"),
        "PROCESSOR_TOPIC_PREFIX": system.prefix,
    }
    (first, second) = ([str(number) for number in place] for place in places)
    issue = ("connection-token", "--account", "a", "--client", "b")
    assert 0 == (await run(*issue, **settings | {"PROCESSOR_POSTGRES_URL": roles.url("ingress")})).status
    for arguments in (
        ("dead-letters", "list"),
        ("dead-letters", "show", *first),
        ("dead-letters", "retry", *first),
        ("dead-letters", "discard", *second, "--reason", "none"),
        ("show", connection),
        ("accounts", connection),
        ("ledger", connection, "BTC"),
        ("verify",),
        ("checkpoint", system.folder / "checkpoint"),
    ):
        ran = await run(*arguments, **settings)
        assert 0 == ran.status, (arguments, ran)


@pytest.mark.parametrize(
    ("role", "statement"), [(role, statement) for role, statements in FORBIDDEN.items() for statement in statements]
)
def test_given_a_role_with_least_rights_then_it_can_do_no_more(roles: Roles, role: str, statement: str) -> None:
    with (
        psycopg.connect(roles.url(role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement.encode())


@pytest.mark.parametrize(
    ("role", "statement"), [(role, statement) for role, statements in ALLOWED.items() for statement in statements]
)
def test_given_a_role_with_least_rights_then_it_can_do_what_comes_seldom(
    roles: Roles, role: str, statement: str
) -> None:
    with psycopg.connect(roles.url(role), autocommit=True) as connection:
        connection.execute(statement.encode())


async def test_given_a_role_with_least_rights_then_the_doctor_finds_exactly_these(roles: Roles) -> None:
    address = {"kafka_bootstrap_servers": "127.0.0.1:1", "enterprise_id": "e", "bitgo_public_key_files": "/key.pem"}
    ingress = IngressSettings(**address, postgres_url=roles.url("ingress"), operator_tokens_file="/tokens.json")
    processor = ProcessorSettings(instance_id="processor-0", postgres_url=roles.url("processor"))
    for settings in (ingress, processor):
        [found] = await check(settings)
        assert (Verdict.OK, "exactly those that are needed") == (found.verdict, found.found), found


async def test_given_a_role_that_is_not_there_then_migrate_says_so(roles: Roles) -> None:
    name = f"nobody-{uuid.uuid4().hex[:6]}"
    ran = await roles.grant("--grant-ingress", name)
    assert 78 == ran.status
    assert f'role "{name}" does not exist' in ran.err


async def test_given_another_role_than_the_owner_then_migrate_says_so(roles: Roles) -> None:
    ran = await run("migrate", "--postgres", roles.url("processor"), "--grant-ingress", "ingress")
    assert 78 == ran.status
    assert "permission denied" in ran.err
    assert PASSWORD not in ran.err
    assert "allocations" == conninfo_to_dict(roles.server.url)["user"]


@pytest.mark.parametrize(("role", "status"), [("processor", 78), ("ingress", 0)])
async def test_given_a_role_then_the_command_for_tokens_works_or_says_what_is_missing(
    roles: Roles, role: str, status: int
) -> None:
    ran = await run(*("connection-token", "--account", "account-7", "--client", "user", "--postgres", roles.url(role)))
    assert (status, status != 0) == (ran.status, "permission denied for table connection_token" in ran.err), ran
