"""Two processors under one name: one goes on, the other says who has its place."""

import asyncio
import socket

from bitgo.client import reserve_body
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.support.system import System


async def test_of_two_processors_with_one_instance_id_one_goes_on(system: System) -> None:
    await system.processor("processor-0", instance_id="same")
    await system.processor("processor-1", instance_id="same", wait=False)
    async with asyncio.timeout(60):
        while not system.ended:
            await asyncio.sleep(0.1)
    assert [("processor-0", EXIT_OPERATOR)] == system.ended
    last = system.log("processor-0").read_text().splitlines()[-1]
    other = f"process {system.supervisor.pids()['processor-1']} on {socket.gethostname()}"
    for words in ("another processor has joined the group", "as same", other, "PROCESSOR_INSTANCE_ID"):
        assert words in last
    await system.ready("processor-1")
    async with await system.ingress() as bitgo:
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
    assert 1 == len(system.ended)


async def test_a_processor_that_was_killed_takes_its_own_place_again(system: System) -> None:
    await system.processor()
    killed = system.kill("processor-0")
    await system.supervisor.restarted("processor-0", killed)
    async with await system.ingress() as bitgo:
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION))).status
    assert [("processor-0", -9)] == system.ended
