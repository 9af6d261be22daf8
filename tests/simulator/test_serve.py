"""`allocations simulator serve`, as a user starts it: over the ledger of `order`, and clearing before it settles."""

import asyncio
import json
import random
import signal
import uuid
from asyncio.subprocess import Process
from pathlib import Path

import aiohttp

from bitgo.simulator.client_orders import Account
from bitgo.simulator.single import account_of
from tests.simulator.conftest import Product
from tests.support.cli import finish, run, start
from tests.support.system import ENTERPRISE

TOKEN = {"Authorization": "Bearer of-the-desk"}


async def ready(process: Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    return str(json.loads(line)["url"])


async def settle(url: str, account: Account, currency: str, quantity: int) -> dict[str, str]:
    """One v1 settlement of one connection, signed by the development signer; gives it."""
    partners = f"{url}/api/network/v1/enterprises/{ENTERPRISE}/partners"
    properties = {
        "externalId": str(uuid.uuid4()),
        "settlementAmounts": {account.connection_id: {currency: str(quantity)}},
        "nonce": str(uuid.uuid4()),
    }
    async with aiohttp.ClientSession(headers=TOKEN) as session:
        async with session.post(f"{partners}/settlements-signing", json=properties) as reply:
            payload = (await reply.json())["payload"]
        async with session.post(f"{url}/api/v2/ofc/signPayload", json={"walletId": "w", "payload": payload}) as reply:
            signature = (await reply.json())["signature"]
        signed = properties | {"payload": payload, "signature": signature}
        async with session.post(f"{partners}/settlements", json=signed) as reply:
            answer = await reply.json()
            assert reply.status == 200, answer
    found: dict[str, str] = answer["settlement"]
    return found


async def test_given_a_reservation_is_open_when_it_settles_then_it_is_cleared_at_the_partner_first(
    product: Product, tmp_path: Path
) -> None:
    ledger, name = tmp_path / "ledger.sqlite", f"desk-{random.randrange(10**9)}"
    ordered = await run(
        "simulator", "order", "allocation", 70, "BTC", *product.options(ledger), "--account", name, "--finish", "open"
    )
    assert (0, True) == (ordered.status, "is reserved" in ordered.out), ordered
    arguments = ["--token", "of-the-desk", "--signing-key", tmp_path / "go-account.pem", "--port", 0]
    served = await start("simulator", "serve", *arguments, *product.options(ledger))
    url = await ready(served)
    assert "completed" == (await settle(url, account_of(name), "BTC", -20))["status"]
    served.send_signal(signal.SIGINT)
    assert 0 == (await finish(served)).status
    asked = await run("simulator", "order", "deallocation", 5, "BTC", *product.options(ledger), "--account", name)
    assert (0, True) == (asked.status, "has 45 available, 0 held" in asked.out), asked
    assert 0 == (await run("simulator", "check", "--ledger", ledger)).status


async def test_given_no_token_and_no_key_then_it_says_what_is_missing(tmp_path: Path) -> None:
    ledger = ["--ledger", tmp_path / "ledger.sqlite"]
    nobody = await run("simulator", "serve", *ledger)
    assert (2, True) == (nobody.status, "who may call?" in nobody.err)
    keyless = await run("simulator", "serve", *ledger, "--token", "x")
    assert (2, True) == (keyless.status, "which key signs settlements?" in keyless.err)
