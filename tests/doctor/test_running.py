"""`allocations doctor --production` on a system that runs."""

import uuid
from pathlib import Path

import pytest

from bitgo.client import reserve_body
from local.credentials import development_key
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.doctor.conftest import Looked, look
from tests.support.servers import Servers
from tests.support.system import System, running_system
from tests.surroundings.test_pooler import PGBOUNCER, pooler

pytestmark = pytest.mark.long


async def asked(system: System, **changed: str) -> Looked:
    _, public = development_key(system.folder)
    own = {
        "INGRESS_ENTERPRISE_ID": "enterprise",
        "INGRESS_BITGO_PUBLIC_KEY_FILES": str(public),
        "PROCESSOR_INSTANCE_ID": "one",
        "PROCESSOR_GROUP_ID": f"{system.prefix}processors",
    }
    for prefix in ("INGRESS", "PROCESSOR"):
        own |= {
            f"{prefix}_KAFKA_BOOTSTRAP_SERVERS": system.kafka,
            f"{prefix}_POSTGRES_URL": system.database_url,
            f"{prefix}_TOPIC_PREFIX": system.prefix,
        }
    return await look(**own | changed)


async def test_given_commands_were_applied_then_log_and_tables_belong_together(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        for _ in range(5):
            assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        looked = await asked(system)
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
    assert (0, set()) == (looked.status, looked.failing)
    assert "belong together: 8 partitions, 5 records applied" in looked.said("ok", "log and tables")
    assert [] == system.ended


async def test_given_the_database_of_another_log(
    system: System, servers: Servers, template: str, tmp_path: Path
) -> None:
    name = f"other_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    async with running_system(servers, servers.database_url(name), tmp_path / "other") as other:
        await other.processor()
        await system.processor()
        looked = await asked(system, PROCESSOR_POSTGRES_URL=other.database_url)
    assert {"log and tables"} == looked.failing
    assert "processor: the commands topic is set to" in looked.said("fail", "log and tables")
    assert "ingress" not in looked.said("fail", "log and tables")


async def test_given_a_database_that_lost_its_rows(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
    await system.supervisor.stop(["processor-0"])
    for statement in ("DELETE FROM log_identity", "DELETE FROM watermark"):
        system.rows(f"{statement} RETURNING 1")
    looked = await asked(system)
    assert "the database is empty, and topic" in looked.said("fail", "log and tables")
    assert "rebuild" in looked.said("fail", "log and tables")


@pytest.mark.skipif(PGBOUNCER is None, reason="needs pgbouncer: `apt-get install pgbouncer`")
@pytest.mark.parametrize(("mode", "verdict"), [("transaction", "fail"), ("session", "warn")])
async def test_given_a_pooler(system: System, mode: str, verdict: str) -> None:
    async with pooler(system, mode):
        looked = await asked(system)
    assert "session" in looked.said(verdict, "pooler")
    assert EXIT_OPERATOR != looked.status
