"""Our own service passes every check, under all four combinations of the `…_after_final` settings.

Each kind has a setting of its own, so two combinations have both values of both; the other two take long.
"""

from pathlib import Path

import pytest

from schemas.words import AfterFinal
from tests.conformance.conftest import Product, check
from tests.support.system import ENTERPRISE

CONFLICT, REISSUE = AfterFinal.CONFLICT, AfterFinal.REISSUE
TOLD = ("--enterprise-id", ENTERPRISE, "--rejects", f"LIMITED:{10**16}", "--unpublished")


@pytest.mark.parametrize(
    ("allocations", "deallocations", "edition"),
    [
        (CONFLICT, REISSUE, "seed"),
        (REISSUE, CONFLICT, "later"),
        pytest.param(CONFLICT, CONFLICT, "seed", marks=pytest.mark.long),
        pytest.param(REISSUE, REISSUE, "later", marks=pytest.mark.long),
    ],
)
async def test_every_check_passes(
    product: Product, tmp_path: Path, edition: str, allocations: AfterFinal, deallocations: AfterFinal
) -> None:
    settings = ("--allocations-after-final", allocations, "--deallocations-after-final", deallocations)
    url = product.urls[allocations, deallocations]
    settings += ("--edition", edition, "--connection-token", await product.connection_token())
    checked = await check(url, product.key, tmp_path, *TOLD, *settings)
    assert {} == checked.failures()
    assert 0 == checked.ran.status
    expected = set()
    for kind, setting in (("a", allocations), ("d", deallocations)):
        if setting is CONFLICT:
            expected |= {f"repeat-09{kind}"} | ({"balance-13"} if kind == "d" else set())
    assert expected == checked.ids("skipped")


async def test_every_check_passes_where_rejections_travel_as_422(product: Product, tmp_path: Path) -> None:
    checked = await check(product.rejecting_as_422, product.key, tmp_path, *TOLD, "--rejected-as", "422")
    assert {} == checked.failures()


async def test_the_wrong_setting_is_found_in_its_cells(product: Product, tmp_path: Path) -> None:
    """What the kit is told about `…_after_final` is what it checks."""
    url = product.urls[CONFLICT, REISSUE]
    checked = await check(url, product.key, tmp_path, *TOLD, "--only", "table", "--allocations-after-final", "reissue")
    assert {"table-10a", "table-13a"} == set(checked.failures())
    assert 1 == checked.ran.status
