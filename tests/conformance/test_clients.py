"""Clients that nobody here wrote, against our own service: Node with npm's jsonwebtoken, and Go's net/http."""

import asyncio
import json
import os
import shutil
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from schemas.words import AfterFinal
from tests.conformance.conftest import Product
from tests.conformance.cutting_proxy import cutting_proxy

CLIENTS = Path(__file__).parent / "clients"
JSONWEBTOKEN = "jsonwebtoken@9.0.3"
DEFAULT = (AfterFinal.CONFLICT, AfterFinal.REISSUE)


async def run(*argv: str | Path, folder: Path, **environment: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=folder, env=os.environ | environment, stdout=PIPE, stderr=PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 150)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def installed(package: str, folder: Path) -> None:
    """Skips the test where npm's registry does not answer: that says nothing of our service."""
    options = ("--no-save", "--ignore-scripts", "--no-audit", "--no-fund")
    try:
        await run("npm", "install", *options, package, folder=folder)
    except (AssertionError, TimeoutError) as error:
        pytest.skip(f"npm cannot install {package} here: {str(error).strip().splitlines()[-1:]}")


def answers(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    return [line | {"body": json.loads(line["text"])} for line in lines]


@pytest.mark.long
@pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="Node and npm are not on this machine")
async def test_node_with_jsonwebtoken_signs_as_bitgos_example_does(product: Product, tmp_path: Path) -> None:
    shutil.copy(CLIENTS / "bitgo.mjs", tmp_path)
    await installed(JSONWEBTOKEN, tmp_path)

    got = answers(await run("node", "bitgo.mjs", product.urls[DEFAULT], product.key, folder=tmp_path))

    reserved, repeated, cleared, held, once, twice = got
    assert [200, 200, 200, 200, 200, 401] == [each["status"] for each in got]
    assert ["reserved", "reserved", "cleared", "reserved", "cleared"] == [each["body"]["status"] for each in got[:5]]
    assert '"quantity": 1000000000000000000000' in reserved["text"]
    assert reserved["body"] == repeated["body"]
    assert 1e21 == reserved["sent"]["amount"]["quantity"] == held["body"]["amount"]["quantity"]
    assert cleared["body"] == once["body"]
    assert "unauthorized" == twice["body"]["code"]


@pytest.mark.long
@pytest.mark.skipif(not shutil.which("go"), reason="Go is not on this machine")
async def test_go_repeats_a_put_by_itself_with_a_token_that_is_used(product: Product, tmp_path: Path) -> None:
    shutil.copy(CLIENTS / "client.go", tmp_path)
    await run("go", "build", "-o", "client", "client.go", folder=tmp_path, GOFLAGS="-mod=mod", GO111MODULE="off")
    reused = 'ingress_unauthorized_total{reason="reused"}'
    name = "ingress-conflict-reissue"
    before = (await product.system.metrics(name)).get(reused, 0)

    async with cutting_proxy(product.urls[DEFAULT]) as (proxy, url):
        got = answers(await run(tmp_path / "client", url, product.key, folder=tmp_path))

    reserved, repeated_by_the_library, tried_again, after_a_dead_connection = got
    assert [200, 401, 200, 200] == [each["status"] for each in got], got
    assert 10**21 + 1 == reserved["body"]["amount"]["quantity"]
    assert ["POST", "PUT", "PUT", "PUT", "PUT"] == [line.split()[0] for line in proxy.requests]
    assert "unauthorized" == repeated_by_the_library["body"]["code"]
    assert "cleared" == tried_again["body"]["status"] == after_a_dead_connection["body"]["status"]
    assert 1 == (await product.system.metrics(name))[reused] - before
