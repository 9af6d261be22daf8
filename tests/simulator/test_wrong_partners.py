"""A partner that is wrong in one respect: the run says so, and says nothing of a right one."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bitgo.client import load_private_key
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.run import Partner, run
from bitgo.simulator.scenario import Scenario
from local.credentials import development_key

SCENARIO = Scenario(
    name="all-sorts",
    seed=7,
    about="a bit of everything",
    orders=80,
    clients=4,
    deallocations=0.5,
    overdrawn=0.3,
    copies=0.3,
    again=0.5,
    overtaken=0.2,
)
OK, MISSING, CONFLICT = 200, 404, 409


class SmallPartner:
    """Reserve, clear, release and status, in memory; right but for its `fault`."""

    def __init__(self, fault: str) -> None:
        self.fault = fault
        self.rows: dict[str, dict[str, Any]] = {}
        self.available: dict[tuple[str, str], int] = {}
        self.tombstones: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        for kind in ("allocation", "deallocation"):
            app.router.add_post(f"/bitgo/v1/{kind}s", self.reserve)
            app.router.add_put(f"/bitgo/v1/{kind}/{{id}}/{{verb}}", self.finish)
            app.router.add_get(f"/bitgo/v1/{kind}/{{id}}", self.status)
        return app

    async def reserve(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        kind = "allocation" if "allocationId" in body else "deallocation"
        row = self.rows.get(body[f"{kind}Id"])
        if body[f"{kind}Id"] in self.tombstones and self.fault != "forgets the tombstone":
            return self._conflict("already_released")
        if row is None:
            row = self.rows[body[f"{kind}Id"]] = body | {"status": self._decide(kind, body)}
        elif row["status"] in ("cleared", "released") and self.fault != "answers everything 200":
            if kind == "allocation":
                return self._conflict(f"already_{row['status']}")
            if row["status"] == "released":
                row["status"] = self._decide(kind, body)
        return self._answer(row)

    def _decide(self, kind: str, body: dict[str, Any]) -> str:
        account, quantity = self._account(body), body["amount"]["quantity"]
        if kind == "allocation":
            return "reserved"
        if self.available.get(account, 0) < quantity and self.fault != "holds what is not there":
            return "rejected"
        self.available[account] = self.available.get(account, 0) - quantity
        return "reserved"

    async def finish(self, request: web.Request) -> web.Response:
        row, verb = self.rows.get(request.match_info["id"]), request.match_info["verb"]
        if row is None:
            self.tombstones.add(request.match_info["id"])
            return web.json_response({"code": "not_found"}, status=MISSING)
        if row["status"] == "reserved":
            back = self._moves_back(row, verb)
            self.available[self._account(row)] = self.available.get(self._account(row), 0) + back
            if self.fault == "loses clears" and verb == "clear":
                return self._answer(row | {"status": "cleared"})
            row["status"] = "cleared" if verb == "clear" else "released"
        return self._answer(row)

    def _moves_back(self, row: dict[str, Any], verb: str) -> int:
        is_due = ("allocationId" in row) == (verb == "clear")
        if self.fault == "keeps the hold" and "deallocationId" in row:
            return 0
        return int(row["amount"]["quantity"]) if is_due else 0

    async def status(self, request: web.Request) -> web.Response:
        row = self.rows.get(request.match_info["id"])
        return self._answer(row) if row else web.json_response({"code": "not_found"}, status=MISSING)

    def _answer(self, row: dict[str, Any]) -> web.Response:
        shown = dict(row)
        if row["status"] == "rejected" and self.fault != "rejects without a reason":
            shown["rejectionReason"] = "insufficient_balance"
        if self.fault == "float quantities":
            shown["amount"] = row["amount"] | {"quantity": float(row["amount"]["quantity"])}
        if self.fault == "another id each time":
            shown = {name: str(uuid.uuid4()) if name.startswith("partnerA") else value for name, value in shown.items()}
        return web.json_response(shown)

    @staticmethod
    def _conflict(code: str) -> web.Response:
        return web.json_response({"code": code}, status=CONFLICT)

    @staticmethod
    def _account(body: dict[str, Any]) -> tuple[str, str]:
        return body["connectionId"], body["amount"]["currency"]


@asynccontextmanager
async def listening(fault: str) -> AsyncIterator[str]:
    runner = web.AppRunner(SmallPartner(fault).app())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def differences(fault: str, folder: Path) -> list[str]:
    private, _ = development_key(folder)
    with Ledger(folder / "ledger.sqlite") as ledger:
        async with listening(fault) as url:
            report = await run(SCENARIO, ledger, Partner(url, [load_private_key(private.read_bytes())]))
    assert (80, None) == (report.comparison.compared, report.comparison.listed)
    return report.differences


@pytest.mark.slow
async def test_a_right_partner_has_no_difference(tmp_path: Path) -> None:
    assert [] == await differences("", tmp_path)


@pytest.mark.slow
async def test_given_a_rate_then_orders_are_not_begun_before_their_time(tmp_path: Path) -> None:
    private, _ = development_key(tmp_path)
    with Ledger(tmp_path / "ledger.sqlite") as ledger:
        async with listening("") as url:
            partner = Partner(url, [load_private_key(private.read_bytes())])
            report = await run(SCENARIO.changed(orders=20), ledger, partner, orders_per_second=40)
    assert ([], 20) == (report.differences, report.orders)
    assert report.seconds >= 19 / 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("forgets the tombstone", "reserve was answered 200 reserved, due was already_released"),
        ("answers everything 200", "reserve was answered 200 cleared, due was already_cleared"),
        ("holds what is not there", "were held of"),
        ("keeps the hold", "were rejected as insufficient_balance"),
        ("loses clears", "is cleared at BitGo; the partner says 200 reserved"),
        ("float quantities", "reserve was answered with wrong amount.quantity"),
        ("rejects without a reason", "reserve was answered with wrong rejectionReason"),
        ("another id each time", "with wrong partnerAllocationId"),
    ],
)
async def test_a_wrong_one_is_found_out(tmp_path: Path, fault: str, words: str) -> None:
    found = await differences(fault, tmp_path)
    assert any(words in each for each in found), found[:10]
