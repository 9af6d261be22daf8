"""An address that leads to a standby: nothing works, a sentence says so, and all goes on when it is promoted."""

import asyncio
from pathlib import Path

from bitgo.client import reserve_body
from local.kafka import Kafka
from schemas.words import Kind
from tests.failover.conftest import system_on, verified
from tests.failover.pair import Pair


async def test_given_processes_that_reach_a_standby_then_they_wait_until_it_is_the_primary(
    kafka: Kafka, both: Pair, tmp_path: Path
) -> None:
    await both.has_all()
    async with system_on(kafka, both.standby.url, tmp_path / "system") as system:
        await system.processor(wait=False)
        await system.ingress(wait=False)
        async with asyncio.timeout(60):
            while "read-only transaction" not in str((await system.readyz("processor-0"))[1].get("problems")):
                await asyncio.sleep(0.2)
            while (await system.readyz("ingress-0"))[0] != 503:
                await asyncio.sleep(0.2)
        await both.fail_over()
        for name in system.health:
            await system.ready(name)
        assert not system.ended
        async with await system.ingress("ingress-1") as bitgo:
            for _ in range(5):
                assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
        await system.caught_up()
        await verified(system)
