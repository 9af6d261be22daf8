"""`allocations verify` while all is at work: what is on its way is no difference."""

from contextlib import AsyncExitStack

import pytest

from bitgo.client import BitGo
from tests.proof.conftest import differences, verify
from tests.support.system import System
from tests.support.traffic import Traffic, entered


@pytest.mark.long
async def test_a_system_under_traffic_has_no_difference(system: System) -> None:
    for number in range(2):
        await system.processor(f"processor-{number}", wait=False)
    ingress: BitGo = await system.ingress(wait=False)
    for name in system.health:
        await system.ready(name)

    async def look() -> None:
        for _ in range(2):
            ran = await verify(system)
            print(ran.out)
            assert (0, []) == (ran.status, differences(ran)), ran

    async with AsyncExitStack() as stack:
        traffic = Traffic(await entered(stack, ingress), clients=4)
        await traffic.during(look, before=2, after=0)
    assert len(traffic.answers) > 100
    await look()
