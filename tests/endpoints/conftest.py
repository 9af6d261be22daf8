"""One running system for all tests of this folder: ids are new for each test, so they do not disturb each other."""

import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bitgo.client import BitGo, Reply, reserve_body
from schemas.words import AfterFinal, Kind, Status, Verb
from tests.support.operator import Operator
from tests.support.servers import Servers
from tests.support.system import System, running_system, shared_system

LIMITED = "LIMITED"
"""A currency of which one reserve may ask for 100 at most."""


@dataclass
class Site:
    """A system with two processors and an ingress for each combination of the `…_after_final` settings."""

    system: System
    by_setting: dict[tuple[AfterFinal, AfterFinal], BitGo]
    rejecting_as_422: BitGo

    @property
    def bitgo(self) -> BitGo:
        """The one with the default settings."""
        return self.by_setting[AfterFinal.CONFLICT, AfterFinal.REISSUE]

    async def fund(self, connection_id: str, quantity: int, currency: str = "BTC") -> None:
        """Let the account have `quantity` available."""
        body = reserve_body(Kind.ALLOCATION, quantity, currency=currency, connectionId=connection_id)
        assert (await self.bitgo.reserve(Kind.ALLOCATION, body)).status == 200
        assert (await self.bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status == 200

    async def bring(
        self, kind: Kind, status: Status | None, bitgo: BitGo | None = None, **fields: Any
    ) -> dict[str, Any]:
        """A body whose id is in a status; for `None`, one that was never sent."""
        caller = bitgo or self.bitgo
        quantity = 500 if status is Status.REJECTED else 5
        body = reserve_body(kind, quantity, currency=LIMITED) | fields
        if kind is Kind.DEALLOCATION and status is not Status.REJECTED:
            await self.fund(body["connectionId"], 10, LIMITED)
        if status is None:
            return body
        first = await caller.reserve(kind, body)
        expected = Status.REJECTED if status is Status.REJECTED else Status.RESERVED
        assert (200, expected) == (first.status, first.body["status"])
        if status in (Status.CLEARED, Status.RELEASED):
            verb = Verb.CLEAR if status is Status.CLEARED else Verb.RELEASE
            reply = await caller.finish(kind, verb, body[f"{kind}Id"])
            assert (200, status) == (reply.status, reply.body["status"])
        return body


async def ask(bitgo: BitGo, kind: Kind, verb: Verb, body: dict[str, Any]) -> Reply:
    if verb is Verb.RESERVE:
        return await bitgo.reserve(kind, body)
    return await bitgo.finish(kind, verb, body[f"{kind}Id"])


@pytest.fixture(scope="session")
async def site(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    name = f"site_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    folder = tmp_path_factory.mktemp("site")
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(running_system(servers, servers.database_url(name), folder))
        for number in range(2):
            await system.processor(f"processor-{number}", wait=False, limits=f'{{"{LIMITED}": "100"}}')
        by_setting = {}
        for allocations in AfterFinal:
            for deallocations in AfterFinal:
                by_setting[allocations, deallocations] = await system.ingress(
                    f"ingress-{allocations}-{deallocations}",
                    wait=False,
                    allocations_after_final=allocations,
                    deallocations_after_final=deallocations,
                    partner_id="partner-1",
                )
        rejecting = await system.ingress("ingress-422", wait=False, rejected_as="422")
        for each in system.health:
            await system.ready(each)
        for each in (*by_setting.values(), rejecting):
            await stack.enter_async_context(each)
        yield Site(system, by_setting, rejecting)


@pytest.fixture(scope="session")
async def operator(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Operator]:
    """Of a system of their own, with two processors, whose connections are registered."""
    async with shared_system(servers, template, tmp_path_factory.mktemp("registered")) as system:
        for number in range(2):
            await system.processor(f"processor-{number}", connections="registered", wait=False)
        async with await system.ingress() as bitgo:
            for each in system.health:
                await system.ready(each)
            yield Operator(system, bitgo)


@pytest.fixture
def bitgo(operator: Operator) -> BitGo:
    return operator.bitgo


def told(reply: Reply) -> tuple[int, str | None]:
    return reply.status, reply.body.get("code")
