"""A play in acts: what BitGo does in its best and worst hours, with every expectation checked.

Needs an ingress, its Kafka for the event stream, and a key that the ingress knows. With an operator's token the client
connects his account first, and trades; without one, the processors must take any connection. What a person wants to
see goes to `say`, line by line; what did not come out right is in `failures`.
"""

import asyncio
import random
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from bitgo.client import SIGNATURE, BitGo, Reply, activate_body, reserve_body, sign
from schemas.events import AllocationEvent
from schemas.records import decode_event
from schemas.topics import Topics
from schemas.words import Kind, Status, Verb

CLIENTS: Final = 8
TRAFFIC_SECONDS: Final = 6.0
KILL_AFTER_SECONDS: Final = 2.0
REPEAT_SECONDS: Final = 30.0
PAGE: Final = 100
SHOWN_EVENTS: Final = 6
"""Events of allocations and deallocations in the acts that are played by hand; trading adds one."""
SILENCE_SECONDS: Final = 10.0

Say = Callable[[str], None]


@dataclass
class Tally:
    """What the traffic was answered."""

    acknowledged: dict[str, Status] = field(default_factory=dict)
    found: int = 0
    seconds: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)


class Play:
    def __init__(
        self,
        bitgo: BitGo,
        enterprise_id: str,
        kafka: Mapping[str, Any],
        topics: Topics,
        say: Say,
        operator: str | None = None,
    ) -> None:
        """`operator`: an operator's token that may write."""
        self._bitgo = bitgo
        self._operator = {"Authorization": f"Bearer {operator}"} if operator else None
        self._enterprise = enterprise_id
        self._kafka = kafka
        self._topics = topics
        self._say = say
        self._step = 0
        self._account = _any_account()
        self._traffic = _any_account()
        self.tally = Tally()
        self.failures: list[str] = []

    async def all_acts(self, disaster: Callable[[], Awaitable[str]] | None) -> None:
        """`disaster` happens in the middle of the traffic and says what it did."""
        async with self._events() as events:
            await self._connect()
            allocation = await self._first_act()
            await self._second_act()
            await self._trade()
            await self._third_act(allocation)
            await self._fourth_act(disaster)
            await self._fifth_act(events, allocation)
        await self._sixth_act()

    async def _connect(self) -> None:
        if self._operator is None:
            return
        self._title("A client connects his account here, with a token that the platform gave him")
        token = await self._issue("account-7")
        body = activate_body(token)
        unknown = activate_body("a token that nobody issued")
        await self._activate("with a token that nobody issued", unknown, 403, "invalid_connection_token")
        self._account = await self._activate("with his token: connected", body, 200, "200")
        again = activate_body(token)
        await self._activate("the same token for another", again, 403, "invalid_connection_token")
        self._traffic = await self._activate(
            "another client", activate_body(await self._issue("account-8")), 200, "200"
        )

    async def _issue(self, account: str) -> str:
        path = "/platform/v1/connection-tokens"
        asked = {"partnersConnectionId": account, "partnersClientId": f"user of {account}"}
        reply = await self._bitgo.call("POST", path, self._operator, json=asked)
        self._line(f"a token for {account}", "POST", path, reply, 201, "201")
        return str(reply.body["connectionToken"])

    async def _activate(self, what: str, body: Mapping[str, Any], status: int, word: str) -> dict[str, str]:
        """The fields of a reserve on the connection."""
        reply = await self._bitgo.activate(body)
        self._line(what, "POST", f"{self._bitgo.base_path}/connections", reply, status, word)
        names = ("clientId", "connectionId", "partnersConnectionId")
        found = {name: reply.body[name] for name in names if name in reply.body}
        return found | ({"partnerClientId": reply.body["partnersClientId"]} if found else {})

    async def _trade(self) -> None:
        if self._operator is None:
            return
        self._title("The client trades: what he won he may take out, and what he lost not")
        await self._adjust("1 BTC of 2 for 20 ETH", {"BTC": -1, "ETH": 20}, 200, "booked")
        await self._adjust("2 BTC of 1: all or nothing", {"BTC": -2, "ETH": 40}, 409, "insufficient_balance")
        won = reserve_body(Kind.DEALLOCATION, 20, currency="ETH", **self._account)
        await self._reserve("20 ETH: held", Kind.DEALLOCATION, won, 200, "reserved")

    async def _adjust(self, what: str, changes: Mapping[str, int], status: int, word: str) -> None:
        path = "/platform/v1/adjustments"
        asked = {
            "adjustmentId": str(uuid.uuid4()),
            "connectionId": self._account["connectionId"],
            "reason": "trade",
            "entries": [{"currency": currency, "quantity": change} for currency, change in changes.items()],
        }
        reply = await self._bitgo.call("POST", path, self._operator, json=asked)
        self._line(what, "POST", path, reply, status, word)

    async def _first_act(self) -> str:
        self._title("A client allocates 5 BTC: BitGo reserves, then clears")
        body = reserve_body(Kind.ALLOCATION, 5, **self._account)
        allocation = str(body["allocationId"])
        await self._reserve("reserve", Kind.ALLOCATION, body, 200, "reserved")
        await self._finish("clear: the client may trade", Kind.ALLOCATION, Verb.CLEAR, allocation, 200, "cleared")
        await self._finish("the same clear again", Kind.ALLOCATION, Verb.CLEAR, allocation, 200, "cleared")
        await self._reserve("the same reserve again", Kind.ALLOCATION, body, 409, "already_cleared")
        await self._finish(
            "release of a cleared one", Kind.ALLOCATION, Verb.RELEASE, allocation, 409, "already_cleared"
        )
        return allocation

    async def _second_act(self) -> None:
        self._title("The client takes assets back: never more than there is")
        too_much = reserve_body(Kind.DEALLOCATION, 7, **self._account)
        await self._reserve("7 of 5: beyond the balance", Kind.DEALLOCATION, too_much, 200, "rejected")
        enough = reserve_body(Kind.DEALLOCATION, 3, **self._account)
        deallocation = str(enough["deallocationId"])
        await self._reserve("3 of 5: held", Kind.DEALLOCATION, enough, 200, "reserved")
        await self._finish("clear: the hold is debited", Kind.DEALLOCATION, Verb.CLEAR, deallocation, 200, "cleared")
        rest = reserve_body(Kind.DEALLOCATION, 3, **self._account)
        await self._reserve("3 of the 2 that are left", Kind.DEALLOCATION, rest, 200, "rejected")

    async def _third_act(self, allocation: str) -> None:
        self._title("A token counts once, and only BitGo's")
        path = f"{self._bitgo.base_path}/allocation/{allocation}"
        once = self._bitgo.headers()
        self._line("a fresh token", "GET", path, await self._bitgo.call("GET", path, once), 200, "cleared")
        self._line("the same token again", "GET", path, await self._bitgo.call("GET", path, once), 401, "unauthorized")
        nobody = {SIGNATURE: sign(self._bitgo.key, lifetime_seconds=3600)}
        self._line("a token for an hour", "GET", path, await self._bitgo.call("GET", path, nobody), 401, "unauthorized")

    async def _fourth_act(self, disaster: Callable[[], Awaitable[str]] | None) -> None:
        title = f"{CLIENTS} clients at once for {TRAFFIC_SECONDS:.0f} s"
        self._title(title + (", and a processor is killed in the middle" if disaster else ""))
        until = time.monotonic() + TRAFFIC_SECONDS
        async with asyncio.TaskGroup() as tasks:
            for _ in range(CLIENTS):
                tasks.create_task(self._client(until))
            tasks.create_task(self._report_traffic(until))
            if disaster is None:
                self._say("      no processor is killed: the processes of this deployment are not the play's to kill")
            else:
                await asyncio.sleep(KILL_AFTER_SECONDS)
                self._say(f"      {await disaster()}")

    async def _client(self, until: float) -> None:
        while time.monotonic() < until:
            quantity = random.randint(1, 100)  # noqa: S311 - amounts, not secrets
            body = reserve_body(Kind.ALLOCATION, quantity, **self._traffic)
            allocation = str(body["allocationId"])
            if await self._until_answered(lambda body=body: self._bitgo.reserve(Kind.ALLOCATION, body)):  # type: ignore[misc]
                self.tally.acknowledged[allocation] = Status.RESERVED
            verb = random.choice([Verb.CLEAR, Verb.CLEAR, Verb.CLEAR, Verb.RELEASE])  # noqa: S311
            if await self._until_answered(
                lambda verb=verb, allocation=allocation: self._bitgo.finish(Kind.ALLOCATION, verb, allocation)  # type: ignore[misc]
            ):
                self.tally.acknowledged[allocation] = Status.CLEARED if verb is Verb.CLEAR else Status.RELEASED

    async def _until_answered(self, request: Callable[[], Awaitable[Reply]]) -> bool:
        """Repeat a request, with a fresh token each time, until it has its one true answer."""
        started = time.monotonic()
        while time.monotonic() - started < REPEAT_SECONDS:
            try:
                reply = await request()
            except (aiohttp.ClientError, TimeoutError) as error:
                self.tally.answers[type(error).__name__] += 1
                await asyncio.sleep(0.1)
                continue
            self.tally.answers[_word(reply)] += 1
            self.tally.seconds.append(reply.seconds)
            if reply.status != 503:  # noqa: PLR2004
                self._expect(reply.status == 200, f"traffic was answered {reply.status} {_word(reply)}")  # noqa: PLR2004
                return reply.status == 200  # noqa: PLR2004
            await asyncio.sleep(float(reply.headers.get("Retry-After", "1")))
        self._expect(False, "a request got no answer within 30 s")  # noqa: FBT003
        return False

    async def _report_traffic(self, until: float) -> None:
        before = 0
        while time.monotonic() < until:
            await asyncio.sleep(1)
            answered = len(self.tally.seconds)
            slowest = max(self.tally.seconds[before:], default=0.0)
            self._say(f"      {answered - before:5d} answers in this second, the slowest after {slowest * 1000:.0f} ms")
            before = answered

    async def _fifth_act(self, events: AIOKafkaConsumer, allocation: str) -> None:
        self._title("What a consumer of the events sees")
        transitions = sum(1 if status is Status.RESERVED else 2 for status in self.tally.acknowledged.values())
        versions: dict[str, list[int]] = {}
        shown = SHOWN_EVENTS + (1 if self._operator else 0)
        async for event in self._incoming(events, transitions + shown):
            versions.setdefault(event.allocation_id, []).append(event.version)
            if event.connection_id == self._account["connectionId"]:
                amount = f"{event.amount.quantity} {event.amount.currency}"
                self._say(f"      {type(event).__name__:22} version {event.version}  {amount:8} {event.allocation_id}")
        found = sum(len(each) for each in versions.values())
        broken = [each for each, seen in versions.items() if seen != list(range(1, len(seen) + 1))]
        self._say(f"      and {found - shown} more from the traffic, each allocation's versions in order")
        self._expect(found == transitions + shown, f"{transitions + shown} events were due, {found} came")
        self._expect(not broken, f"versions out of order: {broken[:3]}")
        self._expect(
            versions.get(allocation) == [1, 2], f"the first allocation's versions are {versions.get(allocation)}"
        )

    async def _incoming(self, events: AIOKafkaConsumer, expected: int) -> AsyncIterator[AllocationEvent]:
        """The play's events, until as many came as were due or none comes any more."""
        found, silent_since = 0, time.monotonic()
        while found < expected and time.monotonic() - silent_since < SILENCE_SECONDS:
            for records in (await events.getmany(timeout_ms=500)).values():
                silent_since = time.monotonic()
                for event, _ in (decode_event(record.value) for record in records):
                    if isinstance(event, AllocationEvent) and (
                        event.allocation_id in self.tally.acknowledged
                        or event.connection_id == self._account["connectionId"]
                    ):
                        found += 1
                        yield event

    async def _sixth_act(self) -> None:
        self._title("Everything that was acknowledged, looked up")
        ids = list(self.tally.acknowledged)
        for start in range(0, len(ids), PAGE):
            path = f"/api/network/v1/enterprises/{self._enterprise}/partners/allocations"
            query = {"allocationIds": ",".join(ids[start : start + PAGE]), "pageSize": str(PAGE)}
            reply = await self._bitgo.call("GET", path, params=query)
            for each in reply.body["allocations"]:
                self.tally.found += each["status"] == self.tally.acknowledged[each["id"]]
        self._say(f"      acknowledged {len(ids)}, found {self.tally.found}")
        self._expect(self.tally.found == len(ids) > 0, f"acknowledged {len(ids)}, found {self.tally.found}")

    @asynccontextmanager
    async def _events(self) -> AsyncIterator[AIOKafkaConsumer]:
        """The events from now on, as a consumer reads them: committed ones only."""
        consumer = AIOKafkaConsumer(**self._kafka, isolation_level="read_committed", enable_auto_commit=False)
        await consumer.start()
        try:
            partitions = await _partitions(consumer, self._topics.events)
            consumer.assign(partitions)
            await consumer.seek_to_end()
            for each in partitions:
                await consumer.position(each)
            yield consumer
        finally:
            await consumer.stop()

    async def _reserve(self, what: str, kind: Kind, body: Mapping[str, Any], status: int, word: str) -> None:
        reply = await self._bitgo.reserve(kind, body)
        self._line(what, "POST", f"{self._bitgo.base_path}/{kind}s", reply, status, word)

    async def _finish(self, what: str, kind: Kind, verb: Verb, allocation_id: str, status: int, word: str) -> None:
        reply = await self._bitgo.finish(kind, verb, allocation_id)
        self._line(what, "PUT", f"{self._bitgo.base_path}/{kind}/{allocation_id}/{verb}", reply, status, word)

    def _line(self, what: str, method: str, path: str, reply: Reply, status: int, word: str) -> None:
        self._step += 1
        right = (reply.status, _word(reply)) == (status, word)
        shown = path if len(path) <= 58 else path[:34] + "…" + path[-23:]  # noqa: PLR2004
        position = reply.headers.get("Log-Position", "")
        mark = "ok   " if right else "WRONG"
        self._say(
            f"{mark} {self._step:2d}  {method:4} {shown:58}  {reply.status} {_word(reply):15} "
            f"{reply.seconds * 1000:6.1f} ms  {position:26}  {what}"
        )
        self._expect(right, f"step {self._step}, {what}: {status} {word} expected, {reply.status} {_word(reply)} came")

    def _title(self, words: str) -> None:
        self._say("")
        self._say(words)

    def _expect(self, right: bool, words: str) -> None:  # noqa: FBT001
        if not right:
            self.failures.append(words)


def _any_account() -> dict[str, str]:
    return {name: reserve_body(Kind.ALLOCATION)[name] for name in ("clientId", "connectionId")}


def _word(reply: Reply) -> str:
    """The one word that says what a reply means."""
    body = reply.body if isinstance(reply.body, dict) else {}
    return str(body.get("code") or body.get("status") or body.get("error") or reply.status)


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> list[TopicPartition]:
    """The partitions of a topic, asked of the cluster."""
    await consumer._client.add_topic(topic)  # noqa: SLF001
    return [TopicPartition(topic, partition) for partition in sorted(consumer.partitions_for_topic(topic) or ())]
