"""Adjustments, allocations and deallocations of a trading day, and the model: an answer moves the balances it names."""

import asyncio
from collections import Counter
from typing import Any, Final

from bitgo.client import reserve_body
from schemas.words import Kind, Verb
from tests.faults.day.callers import DEADLINE_SECONDS, Call, Callers
from tests.support.operator import adjustment_body, on

AT_ONCE: Final = 250
START: Final = 1000
CURRENCIES: Final = ("BTC", "ETH")
NOTES: Final = (*(None,) * 16, "refuse", "raise", "sleep", "os_exit")
"""What tests/support/policy.py does with a request."""
REASONS: Final = {
    None: {"insufficient_balance", "inactive_connection", "policy_failed"},
    "refuse": {"not_today", "insufficient_balance", "inactive_connection", "policy_failed"},
}
"""With any other notes the policy fails, unless a rule before it rejects; on a busy machine it may fail with none."""
FAILED: Final = {"policy_failed", "insufficient_balance", "inactive_connection"}


def reserving(kind: Kind, body: dict[str, Any]) -> Call:
    return lambda caller: caller.bitgo.reserve(kind, body)


def finishing(kind: Kind, verb: Verb, allocation_id: str) -> Call:
    return lambda caller: caller.bitgo.finish(kind, verb, allocation_id)


class Trading:
    def __init__(self, callers: Callers) -> None:
        self.callers = callers
        self.dice = callers.dice
        self.connections: list[dict[str, str]] = []
        self.available: Counter[tuple[str, str]] = Counter()
        self._unsure: list[dict[str, Any]] = []
        """Refused after a request that may still have reached the log behind it."""

    async def open_accounts(self, count: int) -> None:
        """Each with a start of every currency; before anything is killed."""
        operator = self.callers.operators[0]
        for _ in range(count):
            connection = await operator.connected()
            self.connections.append(connection)
            for currency in CURRENCIES:
                await self.allocate(connection, currency, START)

    async def allocate(self, connection: dict[str, str], currency: str, quantity: int) -> None:
        body = reserve_body(Kind.ALLOCATION, quantity, currency=currency, **on(connection))
        reserved = await self.callers.accepted(reserving(Kind.ALLOCATION, body))
        assert "reserved" == reserved["status"], reserved
        await self.callers.accepted(finishing(Kind.ALLOCATION, Verb.CLEAR, body["allocationId"]))
        self.available[connection["connectionId"], currency] += quantity

    async def adjust(self, count: int) -> None:
        """Adjustments in batches; what is not answered is sent again, until it is."""
        waiting, pending = [self._adjustment() for _ in range(count)], set[str]()
        while waiting:
            part, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
            results, is_unsure = await self._batch(part)
            for body, result in zip(part, results, strict=True):
                code, own = result.get("code", result["status"]), body["adjustmentId"]
                self.callers.told[f"adjust: {code}"] += 1
                if is_unsure:
                    pending.add(own)
                if code == "booked":
                    self._book(body)
                elif code != "insufficient_balance":
                    waiting.append(body)
                    pending.add(own)
                elif own in pending:
                    self._unsure.append(body)

    async def move_assets(self, count: int) -> None:
        """Allocations and deallocations of BitGo's, each cleared or released; a clear is never refused."""
        for _ in range(count):
            kind, currency = self.dice.choice(list(Kind)), self.dice.choice(CURRENCIES)
            verb, quantity = self.dice.choice((Verb.CLEAR, Verb.CLEAR, Verb.RELEASE)), self.dice.randint(1, START // 2)
            connection, notes = self.dice.choice(self.connections), self.dice.choice(NOTES)
            body = reserve_body(kind, quantity, currency=currency, notes=notes, **on(connection))
            reserved = await self.callers.accepted(reserving(kind, body))
            self.callers.told[f"{kind}: {reserved.get('rejectionReason', reserved['status'])}"] += 1
            if reserved["status"] != "reserved":
                assert reserved["rejectionReason"] in REASONS.get(notes, FAILED), (notes, reserved)
                continue
            assert notes is None, "the policy does not approve it"
            await self.callers.accepted(finishing(kind, verb, body[f"{kind}Id"]))
            if verb is Verb.CLEAR:
                key = connection["connectionId"], currency
                self.available[key] += quantity if kind is Kind.ALLOCATION else -quantity

    async def make_sure(self) -> None:
        """What became of the adjustments of which an earlier request may have come after the refusal."""
        if self._unsure:
            await asyncio.sleep(DEADLINE_SECONDS)
        for body in self._unsure:
            path = f"/adjustments/{body['adjustmentId']}"
            found, _ = await self.callers.until_answered(lambda caller, path=path: caller.call("GET", path))  # type: ignore[misc]
            self.callers.told[f"unsure: {found.status}"] += 1
            if found.status == 200:
                self._book(body)

    def _book(self, body: dict[str, Any]) -> None:
        for entry in body["entries"]:
            self.available[body["connectionId"], entry["currency"]] += entry["quantity"]

    def _adjustment(self) -> dict[str, Any]:
        currencies = self.dice.sample(CURRENCIES, self.dice.choice((1, 2)))
        changes = {each: self.dice.choice((-1, 1)) * self.dice.randint(1, START) for each in currencies}
        return adjustment_body(self.dice.choice(self.connections)["connectionId"], changes)

    async def _batch(self, part: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], bool]:
        reply, is_unsure = await self.callers.until_answered(
            lambda caller: caller.call("POST", "/adjustments/batch", json={"adjustments": part})
        )
        assert 200 == reply.status, reply.body
        return reply.body["results"], is_unsure
