"""The product as a partner for all tests of this folder, with two of BitGo's keys, called as a user calls it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.credentials import development_key
from tests.support.servers import Servers
from tests.support.system import ENTERPRISE, System, shared_system


@dataclass(frozen=True)
class Product:
    system: System
    url: str
    keys: tuple[Path, Path]

    def options(self, ledger: Path) -> list[object]:
        """What every verb that calls the partner needs."""
        keys = [option for key in self.keys for option in ("--key", key)]
        return ["--partner", self.url, *keys, "--enterprise-id", ENTERPRISE, "--ledger", ledger]


@pytest.fixture(scope="session")
async def product(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    folder = tmp_path_factory.mktemp("product")
    other = folder / "next"
    other.mkdir()
    (first, first_public), (second, second_public) = development_key(folder), development_key(other)
    second_public = second_public.rename(other / "bitgo-next.pem")
    async with shared_system(servers, template, folder) as system:
        for number in range(2):
            await system.processor(f"processor-{number}", wait=False)
        await system.ingress(wait=False, bitgo_public_key_files=f"{first_public},{second_public}")
        for name in system.health:
            await system.ready(name)
        yield Product(system, system.urls["ingress-0"], (first, second))
