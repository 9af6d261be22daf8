"""Our own service passes every check, under all four combinations of the `…_after_final` settings."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.words import AfterFinal
from tests.conformance.conftest import check
from tests.support.servers import Servers
from tests.support.system import ENTERPRISE, System, shared_system

LIMITS = f'{{"LIMITED": "{10**15}"}}'
TOLD = ("--enterprise-id", ENTERPRISE, "--rejects", f"LIMITED:{10**16}", "--unpublished")


@dataclass(frozen=True)
class Product:
    system: System
    urls: dict[tuple[AfterFinal, AfterFinal], str]

    @property
    def key(self) -> Path:
        return self.system.folder / "bitgo-private.pem"


@pytest.fixture(scope="module")
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
        for each in system.health:
            await system.ready(each)
        yield Product(system, urls)


@pytest.mark.parametrize("deallocations", AfterFinal)
@pytest.mark.parametrize("allocations", AfterFinal)
@pytest.mark.parametrize("edition", ["seed", "later"])
async def test_every_check_passes(
    product: Product, tmp_path: Path, edition: str, allocations: AfterFinal, deallocations: AfterFinal
) -> None:
    settings = ("--allocations-after-final", allocations, "--deallocations-after-final", deallocations)
    url = product.urls[allocations, deallocations]
    checked = await check(url, product.key, tmp_path, *TOLD, *settings, "--edition", edition)
    assert {} == checked.failures()
    assert 0 == checked.ran.status
    expected = {f"connection-{number:02}" for number in range(1, 5)}
    for kind, setting in (("a", allocations), ("d", deallocations)):
        if setting is AfterFinal.CONFLICT:
            expected |= {f"repeat-09{kind}"} | ({"balance-13"} if kind == "d" else set())
    assert expected == checked.ids("skipped")


async def test_the_wrong_setting_is_found_in_its_cells(product: Product, tmp_path: Path) -> None:
    """What the kit is told about `…_after_final` is what it checks."""
    url = product.urls[AfterFinal.CONFLICT, AfterFinal.REISSUE]
    checked = await check(url, product.key, tmp_path, *TOLD, "--only", "table", "--allocations-after-final", "reissue")
    assert {"table-10a", "table-13a"} == set(checked.failures())
    assert 1 == checked.ran.status
