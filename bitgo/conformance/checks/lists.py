"""The list of allocations and its filters (contract, sections 5 and 11)."""

from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.checks.reads import EMPTY_400, ERROR, shape_miss
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_VIEW, OPENAPI
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("list", "The list of allocations", "5", OPENAPI, (Need.ENTERPRISE,))
A, D = Kind.ALLOCATION, Kind.DEALLOCATION


def listed(answer: Answer) -> list[dict[str, Any]]:
    found = answer.field("allocations")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _shapes(answer: Answer) -> str | None:
    found = answer.field("allocations")
    if not isinstance(found, list):
        return 'there is no list "allocations"'
    return next((miss for each in found if (miss := shape_miss(each))), None)


SHAPES: Final = expect.status(200) & Expected('"allocations": a list in BitGo\'s read shape', _shapes)


def ids(*expected: str, in_order: bool = False) -> Expected:
    """Exactly these."""

    def miss(answer: Answer) -> str | None:
        found = [str(each.get("id")) for each in listed(answer)]
        same = found == list(expected) if in_order else sorted(found) == sorted(expected)
        return None if same else f"the ids are {found}"

    return Expected(f"the ids {list(expected)}{' in this order' if in_order else ''}", miss)


async def get(probe: Probe, query: dict[str, str], expected: Expected) -> Answer:
    return await probe.send("GET", f"{probe.network_path()}?{urlencode(query, safe=',')}", expected)


async def three(probe: Probe) -> tuple[dict[str, Any], list[str]]:
    """One account's cleared allocation of 2 q, reserved one of q, and reserved deallocation of q + 1; and their ids."""
    first = probe.body(A, amount=_amount(probe, 2 * probe.terms.amount.quantity))
    await probe.ask(A, Verb.RESERVE, first, expect.RESERVED)
    await probe.ask(A, Verb.CLEAR, first, expect.CLEARED)
    account = {name: first[name] for name in ("connectionId", "clientId", "partnersConnectionId")}
    second = probe.body(A, **account)
    await probe.reserve(A, second, expect.RESERVED)
    third = probe.body(D, amount=_amount(probe, probe.terms.amount.quantity + 1), **account)
    await probe.reserve(D, third, expect.RESERVED)
    return first, [first["allocationId"], second["allocationId"], third["deallocationId"]]


def _amount(probe: Probe, quantity: int) -> dict[str, Any]:
    return {"currency": probe.terms.amount.currency, "quantity": probe.quantity(quantity)}


@GROUP.check(1, "without a filter a page of at most 100 comes", source=GUIDE_VIEW)
async def everything(probe: Probe) -> None:
    await probe.bring(A, Status.RESERVED)
    page = expect.that("1 to 100 of them", lambda answer: 1 <= len(listed(answer)) <= 100)  # noqa: PLR2004
    await probe.send("GET", probe.network_path(), expect.status(200) & page)


@GROUP.check(2, "allocationIds chooses by id, of both kinds")
async def by_id(probe: Probe) -> None:
    _, each = await three(probe)
    await get(probe, {"allocationIds": ",".join(each[1:])}, SHAPES & ids(*each[1:]))


@GROUP.check(3, "types, statuses, currencies and clientIds choose, together with allocationIds")
async def filters(probe: Probe) -> None:
    account, each = await three(probe)
    every = {"allocationIds": ",".join(each)}
    for query, chosen in (
        ({"types": "deallocation"}, each[2:]),
        ({"types": "allocation,deallocation"}, each),
        ({"statuses": "cleared"}, each[:1]),
        ({"statuses": "reserved,cleared"}, each),
        ({"currencies": account["amount"]["currency"]}, each),
        ({"currencies": "NONE"}, []),
        ({"clientIds": account["clientId"]}, each),
        ({"types": "allocation", "statuses": "reserved"}, each[1:2]),
    ):
        await get(probe, every | query, SHAPES & ids(*chosen))


@GROUP.check(4, "connectionIds chooses by connection", needs=[Need.OWN_ACCOUNT])
async def by_connection(probe: Probe) -> None:
    account, each = await three(probe)
    await get(probe, {"connectionIds": account["connectionId"]}, SHAPES & ids(*each))


@GROUP.check(5, "statuses=released includes what was rejected", source=CONTRACT)
async def rejected(probe: Probe) -> None:
    body = await probe.bring(D, Status.REJECTED)
    query = {"allocationIds": body["deallocationId"], "statuses": "released"}
    await get(probe, query, SHAPES & ids(body["deallocationId"]))


@GROUP.check(6, "pageSize and pageNumber, from zero, cut the list without gaps")
async def pages(probe: Probe) -> None:
    _, each = await three(probe)
    every = {"allocationIds": ",".join(each), "sortField": "id"}
    ordered = sorted(each)
    for number in range(3):
        page = {"pageSize": "1", "pageNumber": str(number)}
        await get(probe, every | page, SHAPES & ids(ordered[number], in_order=True))
    await get(probe, every | {"pageSize": "2", "pageNumber": "2"}, SHAPES & ids())


@GROUP.check(7, "sortField and sortDirection: id and quantity, up and down")
async def orders(probe: Probe) -> None:
    _, each = await three(probe)
    every = {"allocationIds": ",".join(each)}
    by_quantity = [each[1], each[2], each[0]]
    for field, ascending in (("id", sorted(each)), ("quantity", by_quantity)):
        for direction, order in (("ASC", ascending), ("DESC", ascending[::-1])):
            query = every | {"sortField": field, "sortDirection": direction}
            await get(probe, query, SHAPES & ids(*order, in_order=True))


@GROUP.check(8, "an id whose release came first is not listed", source=CONTRACT)
async def tombstone(probe: Probe) -> None:
    body = probe.body(A)
    await probe.ask(A, Verb.RELEASE, body, expect.REFUSED)
    await get(probe, {"allocationIds": body["allocationId"]}, SHAPES & ids())


@GROUP.check(9, 'without a token, and for a foreign enterprise: 401 and 404 {"error"}')
async def refused(probe: Probe) -> None:
    await probe.send("GET", probe.network_path(), expect.UNAUTHORIZED & ERROR, signed_by_bitgo=False)
    foreign = probe.network_path(enterprise=f"{probe.terms.enterprise_id}-other")
    await probe.send("GET", foreign, expect.NOT_FOUND & ERROR)


async def _bad(query: dict[str, str], probe: Probe) -> None:
    await get(probe, query, EMPTY_400)


for _number, (_name, _value) in enumerate(
    (
        ("allocationIds", "42"),
        ("types", "settlement"),
        ("statuses", "rejected"),
        ("statuses", "done"),
        ("connectionIds", "connection-1"),
        ("pageNumber", "-1"),
        ("pageNumber", "first"),
        ("pageSize", "0"),
        ("pageSize", "501"),
        ("sortField", "status"),
        ("sortDirection", "UP"),
    ),
    21,
):
    GROUP.add(f"{_number:02}", f"{_name}={_value} is 400 {{}}", partial(_bad, {_name: _value}))

for _number, _name in enumerate(("status", "allocationIds[]", "limit"), 41):
    GROUP.add(
        f"{_number:02}",
        f"a parameter that is unknown is 400 {{}}, never ignored: {_name}=…",
        partial(_bad, {_name: "1"}),
        section="11",
        source=CONTRACT,
    )
