"""Clients who come and go in a trading day, and the model: who is connected, and to which account."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from bitgo.client import Reply, activate_body, reserve_body
from schemas.words import Kind, Verb
from tests.faults.day.callers import DEADLINE_SECONDS, Callers
from tests.faults.day.trading import Trading, finishing, reserving
from tests.support.operator import new_account, on

REFUSED = {(403, "invalid_connection_token"), (409, "account_connected")}


class Connecting:
    """Only one task changes connections; on those of `trading` others trade meanwhile."""

    def __init__(self, callers: Callers, trading: Trading) -> None:
        self.callers = callers
        self.dice = callers.dice
        self.trading = trading
        self.connections: dict[str, tuple[str, str]] = {}
        """By connectionId: the platform's account, and the status."""
        for each in trading.connections:
            self._activated(each)
        self._settled_at: dict[str, float] = {}
        """Until when a change whose answer was lost may still arrive, and undo a later one."""

    async def come_and_go(self, count: int) -> None:
        for _ in range(count):
            await self.dice.choice((self.race_for_an_account, self.move_an_account, self.deactivate_for_a_while))()

    async def race_for_an_account(self) -> Mapping[str, Any]:
        """Two connections with one token, and a third with another token of the same account: one wins."""
        account = new_account()
        shared, other = await self._token(account), await self._token(account)
        bodies = [activate_body(shared), activate_body(shared), activate_body(other)]
        replies = await asyncio.gather(*(self._activate(body) for body in bodies))
        won = [reply.body for reply in replies if reply.status == 200]
        told = [(reply.status, reply.body["code"]) for reply in replies if reply.status != 200]
        assert (1, 2) == (len(won), len([each for each in told if each in REFUSED])), (account, told, won)
        [connection] = won
        self.callers.told["race: one won"] += 1
        self._activated(connection)
        again = await self._activate(next(b for b in bodies if b["connectionId"] == connection["connectionId"]))
        assert (200, connection) == (again.status, again.body)
        return connection

    async def move_an_account(self) -> None:
        """From one connection to the next; while it is connected, nobody else gets it."""
        old = await self.race_for_an_account()
        body = activate_body(await self._token(old["partnersConnectionId"]))
        refused = await self._activate(body)
        assert (409, "account_connected") == (refused.status, refused.body["code"])
        await self._change("deactivate", old["connectionId"])
        activated = await self._activate(body)
        assert 200 == activated.status, activated.body
        self._activated(activated.body)
        self.callers.told["moved"] += 1

    async def deactivate_for_a_while(self) -> None:
        """No reserve passes on it meanwhile; what was reserved before is cleared all the same."""
        connection = self.dice.choice(self.trading.connections)
        reserved = await self._reserve(connection)
        await self._change("deactivate", connection["connectionId"])
        rejected = await self._reserve(connection)
        assert "inactive_connection" == rejected.get("rejectionReason"), rejected
        if reserved["status"] == "reserved":
            await self.callers.accepted(finishing(Kind.ALLOCATION, Verb.CLEAR, reserved["allocationId"]))
            self.trading.available[connection["connectionId"], "BTC"] += 1
        await self._change("reactivate", connection["connectionId"])
        self.callers.told["deactivated for a while"] += 1

    def _activated(self, connection: Mapping[str, Any]) -> None:
        self.connections[connection["connectionId"]] = connection["partnersConnectionId"], "active"

    async def _token(self, account: str) -> str:
        """A request that was not answered may have issued one that nobody knows: it expires."""
        body = {"partnersConnectionId": account, "partnersClientId": f"user of {account}"}
        reply, _ = await self.callers.until_answered(
            lambda caller: caller.call("POST", "/connection-tokens", json=body)
        )
        assert 201 == reply.status, reply.body
        return str(reply.body["connectionToken"])

    async def _activate(self, body: dict[str, Any]) -> Reply:
        reply, _ = await self.callers.until_answered(lambda caller: caller.bitgo.activate(body))
        return reply

    async def _reserve(self, connection: Mapping[str, Any]) -> Mapping[str, Any]:
        body = reserve_body(Kind.ALLOCATION, 1, **on(connection))
        return await self.callers.accepted(reserving(Kind.ALLOCATION, body))

    async def _change(self, word: str, connection_id: str) -> None:
        await asyncio.sleep(max(self._settled_at.get(connection_id, 0) - time.monotonic(), 0))
        reply, is_unsure = await self.callers.until_answered(lambda caller: caller.change(word, connection_id))
        status = "inactive" if word == "deactivate" else "active"
        assert (200, status) == (reply.status, reply.body.get("status")), reply.body
        account, _ = self.connections[connection_id]
        self.connections[connection_id] = account, status
        if is_unsure:
            self._settled_at[connection_id] = time.monotonic() + DEADLINE_SECONDS
