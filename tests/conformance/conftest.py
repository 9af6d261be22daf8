"""Partners to check, and the command that checks them."""

import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bitgo.client import load_private_key
from local.credentials import development_key
from schemas.words import AfterFinal
from tests.conformance.wrong_partner import WrongPartner
from tests.support.cli import Ran, run
from tests.support.operator import new_account
from tests.support.servers import Servers
from tests.support.system import System, shared_system


@dataclass(frozen=True)
class Checked:
    ran: Ran
    report: dict[str, Any]

    def ids(self, verdict: str) -> set[str]:
        return {check["id"] for check in self.report["checks"] if check["verdict"] == verdict}

    def failures(self) -> dict[str, str]:
        """Reasons by id."""
        return {check["id"]: check["reason"] for check in self.report["checks"] if check["verdict"] == "failed"}


async def check(url: str, key: Path, folder: Path, *options: str) -> Checked:
    """`allocations conformance` as a user runs it, and what it wrote."""
    file = folder / "report.json"
    ran = await run("conformance", url, "--key", key, "--json", file, *options)
    assert file.exists(), ran.err
    return Checked(ran, json.loads(file.read_text()))


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    private, _ = development_key(tmp_path_factory.mktemp("keys"))
    return private


@asynccontextmanager
async def serving(key: Path, *faults: str, **settings: Any) -> AsyncIterator[str]:
    """The URL of a partner in memory."""
    public = load_private_key(key.read_bytes()).public_key()  # noqa: ASYNC240 - a small file
    partner = WrongPartner(public, frozenset(faults), **settings)
    runner = web.AppRunner(partner.app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


LIMITS = f'{{"LIMITED": "{10**15}"}}'


@dataclass(frozen=True)
class Product:
    system: System
    urls: dict[tuple[AfterFinal, AfterFinal], str]
    rejecting_as_422: str

    async def connection_token(self) -> str:
        """One that was not used yet, of an account that is not connected."""
        names = ("--account", new_account(), "--client", "user")
        ran = await run("connection-token", "--postgres", self.system.database_url, *names)
        return ran.out.strip()

    @property
    def key(self) -> Path:
        return self.system.folder / "bitgo-private.pem"


@pytest.fixture(scope="session")
async def product(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    async with shared_system(servers, template, tmp_path_factory.mktemp(f"product-{uuid.uuid4().hex[:6]}")) as system:
        await system.processor(limits=LIMITS, wait=False)
        urls = {}
        for allocations in AfterFinal:
            for deallocations in AfterFinal:
                name = f"ingress-{allocations}-{deallocations}"
                await system.ingress(
                    name, wait=False, allocations_after_final=allocations, deallocations_after_final=deallocations
                )
                urls[allocations, deallocations] = system.urls[name]
        await system.ingress("ingress-422", wait=False, rejected_as="422")
        for each in system.health:
            await system.ready(each)
        yield Product(system, urls, system.urls["ingress-422"])
