"""Reads for operators, through HTTP and through the command line, in one system; ids are new for each test."""

import asyncio
import csv
import hashlib
import io
import json
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bitgo.client import SIGNATURE, BitGo, Reply, reserve_body, sign
from ingress.platform.ledger_csv import COLUMNS
from schemas.commands import Command
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind
from tests.support import cli
from tests.support.platform import activate, adjust, deactivate, issued
from tests.support.servers import Servers
from tests.support.system import System, shared_system

READ = "settlement_network_read"
PLATFORM = "/platform/v1"


class Desk:
    """An operator who may read, beside BitGo."""

    def __init__(self, system: System, bitgo: BitGo) -> None:
        self.system = system
        self.bitgo = bitgo

    async def reply(self, path: str, token: str = "reads", method: str = "GET", **query: str) -> Reply:  # noqa: S107
        return await self.bitgo.call(
            method, f"{PLATFORM}/{path}", {"Authorization": f"Bearer {token}"}, params=query, allow_redirects=False
        )

    async def read(self, path: str, **query: str) -> dict[str, Any]:
        reply = await self.reply(path, **query)
        assert 200 == reply.status, reply.body
        assert isinstance(reply.body, dict)
        return reply.body

    async def pages(self, path: str, of: str, **query: str) -> list[Any]:
        """Everything of a list, page after page."""
        page = await self.read(path, **query)
        found = page[of]
        while "next" in page:
            page = await self.read(path, **query, after=page["next"])
            assert page[of], "a next page that is promised is not empty"
            found += page[of]
        return found

    async def csv(self, path: str, **query: str) -> tuple[list[dict[str, str]], Reply]:
        reply = await self.reply(path, **query, format="csv")
        assert (200, "text/csv; charset=utf-8") == (reply.status, reply.headers["Content-Type"])
        rows = csv.DictReader(io.StringIO(reply.body, newline=""), strict=True)
        assert COLUMNS == tuple(rows.fieldnames or ())
        return list(rows), reply

    async def publish(self, *commands: Command) -> None:
        """Commands of the platform, until they are in the tables."""
        async with self.system.producer() as producer:
            for command in commands:
                key = key_of(command.subject_id)
                place = partition_of(key, self.system.partitions)
                await producer.send(self.system.topics.commands, encode_command(command), key, place)
            await producer.flush()
        await self.system.caught_up()

    async def fund(self, connection_id: str, quantity: int, currency: str = "BTC") -> str:
        body = reserve_body(Kind.ALLOCATION, quantity, currency=currency, connectionId=connection_id)
        assert 200 == (await self.bitgo.reserve(Kind.ALLOCATION, body)).status
        assert 200 == (await self.bitgo.clear(Kind.ALLOCATION, body["allocationId"])).status
        return str(body["allocationId"])

    async def hold(self, connection_id: str, quantity: int = 1, currency: str = "BTC") -> str:
        body = reserve_body(Kind.DEALLOCATION, quantity, currency=currency, connectionId=connection_id)
        reply = await self.bitgo.reserve(Kind.DEALLOCATION, body)
        assert (200, "reserved") == (reply.status, reply.body["status"])
        return str(body["deallocationId"])

    async def cli(self, *arguments: object) -> cli.Ran:
        return await cli.run(*arguments, PROCESSOR_POSTGRES_URL=self.system.database_url)


@pytest.fixture(scope="module")
async def desk(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    async with desk_of(servers, template, tmp_path_factory.mktemp("desk")) as desk:
        yield desk


@asynccontextmanager
async def desk_of(servers: Servers, template: str, folder: Path) -> AsyncIterator[Desk]:
    known = folder / "tokens.json"
    permissions = {"reads": [READ], "writes": ["settlement_network_write"], "nothing": []}
    known.write_text(
        json.dumps(
            [
                {"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest(), "permissions": has}
                for name, has in permissions.items()
            ]
        )
    )
    async with shared_system(servers, template, folder) as system:
        await system.processor(wait=False)
        bitgo = await system.ingress(operator_tokens_file=str(known))
        await system.ready("processor-0")
        async with bitgo:
            yield Desk(system, bitgo)


def new_id() -> str:
    return str(uuid.uuid4())


def now() -> datetime:
    return datetime.now(UTC)


ID = "aaaaaaaa-1111-4111-8111-111111111111"
PATHS = [
    "connections",
    f"connections/{ID}",
    f"connections/{ID}/accounts",
    f"connections/{ID}/accounts/BTC/ledger",
    f"connections/{ID}/history",
    f"allocations/{ID}/history",
    f"adjustments/{ID}/history",
    "reservations",
]


@pytest.mark.parametrize("path", PATHS)
async def test_given_a_caller_then_only_an_operator_who_may_read_gets_in(desk: Desk, path: str) -> None:
    for token, status, code in (
        ("writes", 403, "forbidden"),
        ("nothing", 403, "forbidden"),
        ("nobody", 401, "unauthorized"),
    ):
        reply = await desk.reply(path, token)
        assert (status, code) == (reply.status, reply.body["code"])
    for headers in ({}, {SIGNATURE: sign(desk.bitgo.key)}):
        reply = await desk.bitgo.call("GET", f"{PLATFORM}/{path}", headers)
        assert (401, "unauthorized") == (reply.status, reply.body["code"])
    assert (await desk.reply(path)).status in (200, 404)


@pytest.mark.parametrize("path", PATHS)
async def test_given_what_is_no_parameter_or_no_read_then_it_is_said(desk: Desk, path: str) -> None:
    reply = await desk.reply(path, unknown="1")
    assert (400, "bad_request", "application/problem+json", "unknown") == (
        reply.status,
        reply.body["code"],
        reply.headers["Content-Type"].split(";")[0],
        reply.body["errors"][0]["field"],
    )
    reply = await desk.reply(path, method="DELETE")
    assert (405, "GET,HEAD") == (reply.status, reply.headers["Allow"])
    whole, head = await desk.reply(path), await desk.reply(path, method="HEAD")
    assert (whole.status, whole.headers["Content-Type"]) == (head.status, head.headers["Content-Type"])
    assert not head.body


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("connections/1", "connectionId"),
        ("connections/1/accounts", "connectionId"),
        (f"connections/{ID}/accounts/%00/ledger", "currency"),
        (f"connections/{ID}/accounts/A%20B/ledger", "currency"),
        ("allocations/x/history", "allocationId"),
    ],
)
async def test_given_a_path_with_what_is_no_id_then_it_is_named(desk: Desk, path: str, field: str) -> None:
    reply = await desk.reply(path)
    assert (400, field) == (reply.status, reply.body["errors"][0]["field"])


async def test_given_an_unknown_id_then_it_is_404_and_a_wrong_path_is_another(desk: Desk) -> None:
    for path in PATHS[1:-1]:
        reply = await desk.reply(path)
        assert (404, "not_found") == (reply.status, reply.body["code"])
    assert "unknown_path" == (await desk.reply("nothing")).body["code"]


async def test_given_connections_then_they_are_listed_filtered_paged_and_their_tokens_hash_is_not_shown(
    desk: Desk,
) -> None:
    client, account = new_id(), f"account {new_id()}"
    ids = [new_id() for _ in range(5)]
    later = now() + timedelta(hours=1)
    for number, each in enumerate(ids):
        token = issued(f"{account} {number}", later)
        await desk.publish(activate(each, f"{account}{number}", token, client_id=client, at=now()))
    await desk.publish(deactivate(ids[2], now()))
    one = await desk.read(f"connections/{ids[0].upper()}")
    assert {
        "connectionId": ids[0],
        "status": "active",
        "version": 1,
        "clientId": client,
        "partnersClientId": f"user of {account} 0",
        "partnersConnectionId": f"{account} 0",
    } == {name: value for name, value in one.items() if name not in ("createdAt", "updatedAt")}
    assert sorted(ids) == [
        each["connectionId"] for each in await desk.pages("connections", "connections", clientId=client, limit="2")
    ]
    for query, expected in (
        ({"status": "inactive"}, [ids[2]]),
        ({"partnersConnectionId": f"{account} 3"}, [ids[3]]),
        ({"partnersConnectionId": f"{account} 3", "status": "inactive"}, []),
    ):
        found = await desk.read("connections", clientId=client, **query)
        assert expected == [each["connectionId"] for each in found["connections"]]
    history = await desk.read(f"connections/{ids[2]}/history")
    assert [("activate", "applied"), ("deactivate", "applied")] == [
        (each["verb"], each["outcome"]) for each in history["commands"]
    ]
    assert ("inactive", 2) == (history["current"]["status"], history["current"]["version"])
    assert "tokenHash" not in json.dumps(history)
    assert {"accounts": []} == {"accounts": (await desk.read(f"connections/{ids[0]}/accounts"))["accounts"]}


async def test_given_traffic_then_every_answer_is_of_one_instant(desk: Desk) -> None:
    """The holds that are listed are what is held, and the log's positions only grow; sequence follows the balances."""
    connection = new_id()
    await desk.fund(connection, 1000)
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            hold = await desk.hold(connection, 3)
            finish = desk.bitgo.clear if uuid.UUID(hold).int % 2 else desk.bitgo.release
            assert 200 == (await finish(Kind.DEALLOCATION, hold)).status

    answers = []
    async with asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(client()) for _ in range(6)]
        while len(answers) < 60:
            answers.append(await desk.read(f"connections/{connection}/accounts", openHolds="true"))
        over.set()
        await asyncio.gather(*clients)
    assert len({each["accounts"][0]["sequence"] for each in answers}) > 5, "nothing happened meanwhile"
    assert any(int(each["accounts"][0]["held"]) for each in answers)
    before: dict[str, int] = {}
    for answer in answers:
        [account] = answer["accounts"]
        holds = account["openHolds"]
        assert int(account["held"]) == int(holds["quantity"]) == sum(int(each["quantity"]) for each in holds["oldest"])
        assert holds["count"] == len(holds["oldest"])
        assert desk.system.topics.commands == answer["asOf"]["topic"]
        positions = answer["asOf"]["positions"]
        assert all(positions[partition] >= before.get(partition, 0) for partition in positions)
        before = positions
    rows = desk.system.rows('SELECT partition, "offset", sequence FROM ledger WHERE connection_id = %s', connection)
    for answer in answers:
        positions, [account] = answer["asOf"]["positions"], answer["accounts"]
        applied = [row["sequence"] for row in rows if row["offset"] < positions[str(row["partition"])]]
        assert account["sequence"] == max(applied) == len(applied)
    quiet = (await desk.read(f"connections/{connection}/accounts"))["accounts"][0]
    assert "openHolds" not in quiet
    assert "0" == quiet["held"]


async def test_given_many_holds_then_the_oldest_are_listed_and_all_are_counted(desk: Desk) -> None:
    connection = new_id()
    await desk.fund(connection, 300)
    ids = await asyncio.gather(*(desk.hold(connection) for _ in range(203)))
    [account] = (await desk.read(f"connections/{connection}/accounts", openHolds="true"))["accounts"]
    holds = account["openHolds"]
    assert ("203", 203, "203", 200) == (account["held"], holds["count"], holds["quantity"], len(holds["oldest"]))
    every = await desk.pages("reservations", "reservations", connectionId=connection, kind="deallocation", limit="100")
    assert sorted(ids) == sorted(each["id"] for each in every)
    assert [each["deallocationId"] for each in holds["oldest"]] == [each["id"] for each in every[:200]]
    ages = [each["reservedAt"] for each in every]
    assert ages == sorted(ages)


async def test_given_many_currencies_then_they_come_in_pages(desk: Desk) -> None:
    connection = new_id()
    currencies = sorted(["BTC", "eth", "=SUM(A1)", "a/b", "Ω", "ETH"])
    for currency in currencies:
        await desk.fund(connection, 7, currency)
    found = await desk.pages(f"connections/{connection}/accounts", "accounts", limit="2")
    assert currencies == [each["currency"] for each in found]
    page = await desk.read(f"connections/{connection}/accounts/a%2Fb/ledger")
    assert ("a/b", ["7"]) == (page["currency"], [each["quantity"] for each in page["entries"]])
    [row], _ = await desk.csv(f"connections/{connection}/accounts/=SUM(A1)/ledger")
    assert "'=SUM(A1)" == row["currency"]


async def test_given_new_movements_while_it_is_paged_then_every_entry_is_on_one_page(desk: Desk) -> None:
    connection = new_id()
    path = f"connections/{connection}/accounts/BTC/ledger"
    await desk.fund(connection, 100_000)
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            hold = await desk.hold(connection, 2)
            assert 200 == (await desk.bitgo.clear(Kind.DEALLOCATION, hold)).status

    async with asyncio.TaskGroup() as tasks:
        clients = [tasks.create_task(client()) for _ in range(4)]
        await asyncio.sleep(1)
        entries: list[dict[str, Any]] = []
        page = await desk.read(path, limit="7")
        for _ in range(40):
            entries += page["entries"]
            if "next" not in page:
                break
            page = await desk.read(path, limit="7", after=page["next"])
        over.set()
        await asyncio.gather(*clients)
    while "next" in page:
        page = await desk.read(path, limit="7", after=page["next"])
        entries += page["entries"]
    rows = desk.system.rows("SELECT * FROM ledger WHERE connection_id = %s ORDER BY sequence", connection)
    assert len(entries) > 20
    assert [row["sequence"] for row in rows][: len(entries)] == [each["sequence"] for each in entries]
    available = held = 0
    for row, entry in zip(rows, entries, strict=False):
        available += int(entry["availableChange"])
        held += int(entry["heldChange"])
        assert (str(available), str(held), False) == (entry["available"], entry["held"], entry["missingBefore"])
        place = f"{desk.system.topics.commands}/{row['partition']}/{row['offset']}"
        assert (place, row["debit"], row["credit"], str(row["quantity"])) == (
            entry["position"],
            entry["debit"],
            entry["credit"],
            entry["quantity"],
        )


async def test_given_a_ledger_then_csv_says_what_json_says(desk: Desk) -> None:
    connection = new_id()
    path = f"connections/{connection}/accounts/BTC/ledger"
    funding = await desk.fund(connection, 100)
    hold = await desk.hold(connection, 40)
    assert 200 == (await desk.bitgo.clear(Kind.DEALLOCATION, hold)).status
    lost = adjust(connection, {"BTC": -50, "ETH": 3}, reason='=HYPERLINK("x"), lost', at=now())
    await desk.publish(lost)
    await desk.publish(adjust(connection, {"BTC": -50}, at=now()))
    entries = await desk.pages(path, "entries", limit="2")
    assert [
        ("clear", "allocation", funding, "100", "0", None),
        ("reserve", "deallocation", hold, "60", "40", None),
        ("clear", "deallocation", hold, "60", "0", None),
        ("adjust", "adjustment", lost.adjustment_id, "10", "0", '=HYPERLINK("x"), lost'),
    ] == [(*_by(each), each["available"], each["held"], each.get("reason")) for each in entries]
    rows, reply = await desk.csv(path)
    assert "Link" not in reply.headers
    assert '\'=HYPERLINK("x"), lost' == rows[3]["reason"]
    assert ("-50", "0") == (rows[3]["availableChange"], rows[3]["heldChange"])
    assert [_flat(connection, each) for each in entries] == [
        row | {"reason": row["reason"].removeprefix("'")} for row in rows
    ]
    accepted = await desk.bitgo.call("GET", f"{PLATFORM}/{path}", READER | {"Accept": "text/csv, */*;q=0.1"})
    assert reply.body == accepted.body
    head = await desk.reply(path, method="HEAD", format="csv")
    assert (200, reply.headers["Content-Type"], None) == (head.status, head.headers["Content-Type"], head.body or None)
    both = await desk.bitgo.call("GET", f"{PLATFORM}/{path}", READER | {"Accept": "text/csv, application/json"})
    assert "entries" in both.body


READER = {"Authorization": "Bearer reads"}


def _by(entry: dict[str, Any]) -> tuple[str, str, str]:
    return entry["subject"]["verb"], entry["subject"]["kind"], entry["subject"]["id"]


def _flat(connection_id: str, entry: dict[str, Any]) -> dict[str, str]:
    plain = {name: str(value) for name, value in entry.items() if name not in ("subject", "missingBefore")}
    return (
        {"reason": ""}
        | plain
        | entry["subject"]
        | {"missingBefore": str(entry["missingBefore"]).lower(), "connectionId": connection_id, "currency": "BTC"}
    )


async def test_given_a_limit_then_csv_names_what_follows_and_its_parts_are_the_whole(desk: Desk) -> None:
    connection = new_id()
    path = f"connections/{connection}/accounts/BTC/ledger"
    await desk.fund(connection, 10)
    for _ in range(4):
        await desk.hold(connection)
    whole, _ = await desk.csv(path)
    found, reply = await desk.csv(path, limit="2")
    while "Link" in reply.headers:
        target, relation = reply.headers["Link"].split("; ")
        assert 'rel="next"' == relation
        reply = await desk.bitgo.call("GET", target.strip("<>"), READER)
        rows = list(csv.DictReader(io.StringIO(reply.body, newline="")))
        assert 1 <= len(rows) <= 2
        found += rows
    assert 5 == len(whole)
    assert whole == found
    assert 400 == (await desk.reply(path, limit="501")).status
    assert 200 == (await desk.reply(path, limit="501", format="csv")).status


async def test_given_a_ledger_longer_than_a_part_then_all_of_it_is_streamed(desk: Desk) -> None:
    connection, count = new_id(), 2500
    await desk.publish(*(adjust(connection, {"BTC": 1}, at=now()) for _ in range(count)))
    rows, _ = await desk.csv(f"connections/{connection}/accounts/BTC/ledger")
    assert [str(each) for each in range(1, count + 1)] == [row["available"] for row in rows]


async def test_given_postgres_fails_in_the_middle_then_a_csv_breaks_off_and_does_not_look_complete(desk: Desk) -> None:
    connection = new_id()
    path = f"connections/{connection}/accounts/BTC/ledger"
    await desk.publish(*(adjust(connection, {"BTC": 1}, at=now()) for _ in range(1500)))
    desk.system.rows(
        """
        UPDATE journal SET facts = jsonb_set(facts, '{accounts,0,connectionId}', '"no id"')
        FROM ledger
        WHERE (journal.partition, journal."offset") = (ledger.partition, ledger."offset")
            AND ledger.connection_id = %s AND ledger.sequence = 1400
        RETURNING 1
        """,
        connection,
    )
    with pytest.raises(aiohttp.ClientPayloadError):
        await desk.reply(path, format="csv")
    first = await desk.read(path, limit="500")
    late = await desk.read(path, limit="500", after=first["next"])
    reply = await desk.reply(path, limit="500", after=late["next"], format="csv")
    assert (503, "unavailable") == (reply.status, reply.body["code"])


async def test_given_a_history_then_it_has_every_command_with_what_became_of_it(desk: Desk) -> None:
    """A tombstone, a re-issue, refusals of either kind, and a repeat."""
    connection = new_id()
    await desk.fund(connection, 10)
    body = reserve_body(Kind.DEALLOCATION, 4, connectionId=connection)
    hold = body["deallocationId"]
    other = reserve_body(Kind.ALLOCATION, 4, connectionId=connection) | {"allocationId": hold}
    bitgo = desk.bitgo
    await bitgo.reserve(Kind.DEALLOCATION, body)
    await bitgo.reserve(Kind.DEALLOCATION, body)
    await bitgo.reserve(Kind.ALLOCATION, other)
    await bitgo.release(Kind.DEALLOCATION, hold)
    await bitgo.reserve(Kind.DEALLOCATION, body)
    await bitgo.clear(Kind.DEALLOCATION, hold)
    await bitgo.release(Kind.DEALLOCATION, hold)
    path = f"allocations/{hold}/history"
    history = await desk.read(path)
    none, reserved, released, again, cleared = (
        None,
        ("reserved", 1),
        ("released", 2),
        ("reserved", 3),
        ("cleared", 4),
    )
    assert [
        ("deallocation", "reserve", "applied", None, none, reserved),
        ("deallocation", "reserve", "repeated", None, reserved, reserved),
        ("allocation", "reserve", "refused", "id_in_use", reserved, reserved),
        ("deallocation", "release", "applied", None, reserved, released),
        ("deallocation", "reserve", "applied", None, released, again),
        ("deallocation", "clear", "applied", None, again, cleared),
        ("deallocation", "release", "refused", "already_cleared", cleared, cleared),
    ] == [
        (each["kind"], each["verb"], each["outcome"], each.get("reason"), _state(each, "before"), _state(each, "after"))
        for each in history["commands"]
    ]
    assert ("cleared", 4, "deallocation", {"currency": "BTC", "quantity": "4"}) == tuple(
        history["current"][name] for name in ("status", "version", "kind", "amount")
    )
    first = history["commands"][0]
    assert ("DeallocationReserved", "10") == (first["event"]["event"], first["facts"]["account"]["availableBefore"])
    assert first["traceparent"].startswith("00-")
    assert "event" not in history["commands"][1]
    assert history["commands"] == await desk.pages(path, "commands", limit="3")
    assert 404 == (await desk.reply(f"adjustments/{hold}/history")).status

    tombstone = new_id()
    await bitgo.release(Kind.ALLOCATION, tombstone)
    await bitgo.reserve(Kind.ALLOCATION, reserve_body(Kind.ALLOCATION, allocationId=tombstone))
    history = await desk.read(f"allocations/{tombstone}/history")
    assert ("tombstone", 0) == (history["current"]["status"], history["current"]["version"])
    assert ["not_found", "already_released"] == [each["reason"] for each in history["commands"]]
    unknown = new_id()
    await bitgo.clear(Kind.ALLOCATION, unknown)
    history = await desk.read(f"allocations/{unknown}/history")
    assert (False, 1) == ("current" in history, len(history["commands"]))


def _state(entry: dict[str, Any], when: str) -> tuple[str, int] | None:
    return (entry[when]["status"], entry[when]["version"]) if when in entry else None


async def test_given_an_adjustment_then_its_history_has_the_refusal_too(desk: Desk) -> None:
    connection = new_id()
    first = adjust(connection, {"BTC": -1}, at=now())
    again = first.model_copy(update={"command_id": new_id()})
    await desk.publish(first)
    await desk.fund(connection, 5)
    await desk.publish(again)
    history = await desk.read(f"adjustments/{first.adjustment_id}/history")
    assert [("refused", "insufficient_balance"), ("applied", None)] == [
        (each["outcome"], each.get("reason")) for each in history["commands"]
    ]
    assert [{"currency": "BTC", "quantity": "-1"}] == history["current"]["entries"]


async def test_given_open_reservations_then_the_oldest_come_first_and_one_that_was_issued_again_is_young(
    desk: Desk,
) -> None:
    connection = new_id()
    await desk.fund(connection, 10)
    body = reserve_body(Kind.DEALLOCATION, 1, connectionId=connection)
    await desk.bitgo.reserve(Kind.DEALLOCATION, body)
    await desk.bitgo.release(Kind.DEALLOCATION, body["deallocationId"])
    second = await desk.hold(connection)
    allocation = reserve_body(Kind.ALLOCATION, 1, connectionId=connection)
    await desk.bitgo.reserve(Kind.ALLOCATION, allocation)
    await desk.bitgo.reserve(Kind.DEALLOCATION, body)
    expected = [second, allocation["allocationId"], body["deallocationId"]]
    listed = await desk.pages("reservations", "reservations", connectionId=connection, limit="1")
    assert expected == [each["id"] for each in listed]
    assert ["deallocation", "allocation", "deallocation"] == [each["kind"] for each in listed]
    assert all(0 <= each["ageSeconds"] < 60 for each in listed)
    assert [] == (await desk.read("reservations", connectionId=connection, olderThan="3600"))["reservations"]
    everything = await desk.pages("reservations", "reservations", limit="500")
    assert set(expected) <= {each["id"] for each in everything}
    await desk.bitgo.clear(Kind.ALLOCATION, allocation["allocationId"])
    left = await desk.read("reservations", connectionId=connection, kind="allocation")
    assert [] == left["reservations"]


async def test_given_pruned_rows_then_what_is_left_is_right_and_says_so(
    servers: Servers, template: str, tmp_path: Path
) -> None:
    """In a system of its own, because the others share their log."""
    async with desk_of(servers, template, tmp_path) as desk:
        connection = new_id()
        await desk.fund(connection, 100)
        hold = await desk.hold(connection, 30)
        for _ in range(20):
            await desk.hold(connection, 1)
        file = tmp_path / "checkpoint"
        path = f"connections/{connection}/accounts/BTC/ledger"
        whole = {each["sequence"]: each for each in await desk.pages(path, "entries")}
        assert not any(each["missingBefore"] for each in whole.values())
        system = desk.system
        where = ("--kafka", system.kafka, "--postgres", system.database_url, "--topic-prefix", system.prefix)
        for verb in (("checkpoint", file), ("prune", "--checkpoint", file)):
            ran = await cli.run(*verb, *where)
            assert 0 == ran.status, ran.err
        await desk.bitgo.clear(Kind.DEALLOCATION, hold)
        page = await desk.read(path)
        assert system.topics.commands == page["prunedBefore"]["topic"]
        kept = [each for each in page["entries"] if each["sequence"] in whole]
        assert len(kept) < len(whole) == 22
        assert [whole[each["sequence"]] for each in kept] == [each | {"missingBefore": False} for each in kept]
        sequences = [0, *(each["sequence"] for each in page["entries"])]
        gaps = [later - earlier > 1 for earlier, later in pairwise(sequences)]
        assert gaps == [each["missingBefore"] for each in page["entries"]]
        assert any(gaps)
        rows, _ = await desk.csv(path)
        assert gaps == [row["missingBefore"] == "true" for row in rows]
        last = page["entries"][-1]
        [account] = (await desk.read(f"connections/{connection}/accounts", openHolds="true"))["accounts"]
        assert (account["available"], account["held"]) == (last["available"], last["held"]) == ("50", "20")
        assert "20" == account["openHolds"]["quantity"]
        history = await desk.read(f"allocations/{hold}/history")
        assert ("cleared", 2) == (history["current"]["status"], history["current"]["version"])
        assert "clear" == history["commands"][-1]["verb"]
        assert 1 == len(history["prunedBefore"]["positions"])
        shown = await desk.cli("show", hold)
        assert "older commands may have been pruned: before" in shown.out


async def test_given_the_command_line_then_it_shows_the_same(desk: Desk) -> None:
    connection = new_id()
    funding = await desk.fund(connection, 100)
    hold = await desk.hold(connection, 40)
    booked = adjust(connection, {"BTC": -5}, reason="fee", at=now())
    await desk.publish(activate(connection, connection, issued(connection, now() + timedelta(1)), at=now()), booked)
    for of, each in (
        ("allocation", funding),
        ("allocation", hold),
        ("adjustment", booked.adjustment_id),
        ("connection", connection),
    ):
        ran = await desk.cli("show", each.upper(), "--json")
        history = await desk.read(f"{of}s/{each}/history")
        assert (0, {of: history}) == (ran.status, json.loads(ran.out))
    shown = await desk.cli("show", hold)
    assert 0 == shown.status
    for words in ("reserved", "40 BTC", "reserve", "applied", hold):
        assert words in shown.out
    listed = await desk.cli("accounts", connection, "--holds", "--json")
    assert (await desk.read(f"connections/{connection}/accounts", openHolds="true"))["accounts"] == json.loads(
        listed.out
    )["accounts"]
    table = await desk.cli("accounts", connection, "--holds")
    assert f"hold of BTC  40  {hold}" in table.out
    assert f"as of {desk.system.topics.commands} 0: " in table.out
    every = await desk.cli("accounts", "--limit", 100_000)
    assert f"{connection}  BTC" in every.out
    path = f"connections/{connection}/accounts/BTC/ledger"
    _, reply = await desk.csv(path)
    assert reply.body == (await desk.cli("ledger", connection, "BTC", "--csv")).out
    first = await desk.cli("ledger", connection, "BTC", "--limit", 2, "--json")
    rest = await desk.cli("ledger", connection, "BTC", "--json", "--after", first.err.split()[-1])
    assert (await desk.read(path))["entries"] == [json.loads(line) for line in (first.out + rest.out).splitlines()]
    people = await desk.cli("ledger", connection, "BTC")
    last = people.out.splitlines()[-1].split()
    assert ["available", "→", "trading", "5", "55", "40", "adjust", "adjustment", booked.adjustment_id, "fee"] == last[
        2:
    ]


async def test_given_an_unknown_id_then_the_command_line_says_so_with_a_status_of_its_own(desk: Desk) -> None:
    unknown = new_id()
    ledger = ("ledger", unknown, "BTC")
    for verb in (("show", unknown), ("accounts", unknown), ledger, (*ledger, "--csv")):
        ran = await desk.cli(*verb)
        assert (3, "") == (ran.status, ran.out)
        assert unknown in ran.err
