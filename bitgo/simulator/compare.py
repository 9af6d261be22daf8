"""BitGo's ledger beside what the partner's reads say: each id, each list, and the accounts that follow from them."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from bitgo.client import BitGo, Reply
from bitgo.simulator.client_orders import ClientOrder
from bitgo.simulator.editions import Edition, wrong_fields
from bitgo.simulator.entries import Allocation, Balance, effect
from bitgo.simulator.judge import NOT_FOUND, OK
from bitgo.simulator.order_book import OrderBook
from schemas.words import Kind

READS_AT_ONCE: Final = 16
TRIES: Final = 20
WAIT_SECONDS: Final = 0.5
PAGE: Final = 500
PAGES_MAX: Final = 10_000
CONNECTIONS_PER_LIST: Final = 20
RELEASED_TO_READERS: Final = frozenset({"released", "rejected"})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


class UnreachableError(Exception):
    """The partner does not answer, or not to us; the message says which."""


@dataclass
class Comparison:
    compared: int = 0
    listed: int | None = None
    """Rows of the lists; None when the partner does not offer them."""
    differences: list[str] = field(default_factory=list)


async def compare(
    book: OrderBook, partner: BitGo, enterprise_id: str, editions: Mapping[str, frozenset[Edition]]
) -> Comparison:
    """`editions`: by id, those in which the partner may know an order. Raises UnreachableError."""
    found = Comparison()
    orders = list(book.orders())
    await _one_by_one(found, book, partner, orders, editions)
    await _lists(found, book, partner, orders, enterprise_id)
    return found


async def read(partner: BitGo, path: str, **query: str) -> Reply:
    """A GET, repeated while the partner is busy. Raises UnreachableError."""
    why = ""
    for _ in range(TRIES):
        try:
            reply = await partner.call("GET", path, params=query)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            why = f"{type(error).__name__} {error}".strip()
        else:
            if reply.status not in (429, 500, 502, 503, 504):
                return reply
            why = f"it answers {reply.status}"
        await asyncio.sleep(WAIT_SECONDS)
    raise UnreachableError(f"{partner.url} cannot be read: {why}")


async def _one_by_one(
    found: Comparison,
    book: OrderBook,
    partner: BitGo,
    orders: list[ClientOrder],
    editions: Mapping[str, frozenset[Edition]],
) -> None:
    waiting = iter(orders)

    async def reader() -> None:
        for order in waiting:
            path = f"{partner.base_path}/{order.kind}/{order.allocation_id}"
            reply = await read(partner, path)
            found.compared += 1
            for what in _differing(book, order, reply, editions[order.allocation_id]):
                found.differences.append(f"{order.kind} {order.allocation_id}: {what}")

    async with asyncio.TaskGroup() as tasks:
        for _ in range(READS_AT_ONCE):
            tasks.create_task(reader())


def _differing(book: OrderBook, order: ClientOrder, reply: Reply, editions: frozenset[Edition]) -> Iterator[str]:
    progress = book.progress(order.allocation_id)
    assert progress is not None  # noqa: S101 - the order comes from the same table
    body = reply.body if isinstance(reply.body, dict) else {}
    if progress.known is None:
        yield f"is {progress.status} at BitGo, which never heard the last of it; the partner says {_said(reply)}"
    elif not progress.known:
        if reply.status != NOT_FOUND:
            yield f"was released before it was reserved, so it does not exist; the partner says {_said(reply)}"
    elif reply.status != OK or body.get("status") != progress.status:
        yield f"is {progress.status} at BitGo; the partner says {_said(reply)}"
    else:
        content = order.content(progress.partner_allocation_id)
        if wrong := min((wrong_fields(content, each, body) for each in editions), key=len):
            yield f"is read with wrong {', '.join(wrong)}"


def _said(reply: Reply) -> str:
    body = reply.body if isinstance(reply.body, dict) else {}
    return f"{reply.status} {body.get('status') or body.get('code') or ''}".strip()


async def _lists(
    found: Comparison, book: OrderBook, partner: BitGo, orders: list[ClientOrder], enterprise_id: str
) -> None:
    path = f"/api/network/v1/enterprises/{enterprise_id}/partners/allocations"
    if (await read(partner, path, pageSize="1")).status != OK:
        return
    found.listed = 0
    due = _due(book, orders)
    connections = sorted({order.account.connection_id for order in orders})
    accounts: dict[tuple[str, str], Counter[str]] = {}
    for start in range(0, len(connections), CONNECTIONS_PER_LIST):
        ids = ",".join(connections[start : start + CONNECTIONS_PER_LIST])
        async for row in _rows(partner, path, ids):
            found.listed += 1
            expected = due.pop(str(row.get("id")), None)
            _add(accounts, row)
            if expected is None:
                found.differences.append(
                    f"{row.get('type')} {row.get('id')}: is in the list and not at BitGo, or twice"
                )
            elif wrong := list(wrong_row(expected, row)):
                found.differences.append(f"{expected.kind} {expected.allocation_id}: is listed with {', '.join(wrong)}")
    found.differences += [f"{each.kind} {each.allocation_id}: is missing in the list" for each in due.values()]
    found.differences += _wrong_accounts(book, set(connections), accounts)


def _due(book: OrderBook, orders: list[ClientOrder]) -> dict[str, Allocation]:
    due = {}
    for order in orders:
        progress, allocation = book.progress(order.allocation_id), book.ledger.allocation(order.allocation_id)
        if progress is not None and allocation is not None and progress.known:
            due[order.allocation_id] = allocation
    return due


async def _rows(partner: BitGo, path: str, connection_ids: str) -> AsyncIterator[dict[str, Any]]:
    for page in range(PAGES_MAX):
        query = {"connectionIds": connection_ids, "sortField": "id", "pageSize": str(PAGE), "pageNumber": str(page)}
        reply = await read(partner, path, **query)
        rows = reply.body.get("allocations") if isinstance(reply.body, dict) else None
        if reply.status != OK or not isinstance(rows, list):
            raise UnreachableError(f"the list of {partner.url} answers {reply.status} to page {page}")
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return


def wrong_row(expected: Allocation, row: Mapping[str, Any]) -> Iterator[str]:
    """Fields of the read shape that do not fit (contract, section 5)."""
    is_reserved, is_cleared = expected.status == "reserved", expected.status == "cleared"
    status = "released" if expected.status in RELEASED_TO_READERS else expected.status
    due = {
        "type": str(expected.kind),
        "status": status,
        "amount": {"currency": expected.currency, "quantity": str(expected.quantity)},
        "connectionId": expected.connection_id,
        "partnerExternalId": expected.partner_allocation_id,
    }
    yield from (
        f"{name} {row.get(name)!r} instead of {value!r}" for name, value in due.items() if row.get(name) != value
    )
    if row.get("retriable") not in ((True, False) if is_reserved else (False,)):
        yield f"retriable {row.get('retriable')!r}"
    reason = row.get("reason", "")
    if reason is not None if is_cleared else not (isinstance(reason, str) and reason):
        yield f"reason {reason!r}"
    for name in ("createdAt", "updatedAt"):
        if not _TIME.fullmatch(str(row.get(name))):
            yield f"{name} {row.get(name)!r}"


def _add(accounts: dict[tuple[str, str], Counter[str]], row: Mapping[str, Any]) -> None:
    amount = row.get("amount") or {}
    account = accounts.setdefault((str(row.get("connectionId")), str(amount.get("currency"))), Counter())
    kind = Kind(str(row.get("type")))
    available, held = effect(kind, str(row.get("status")), int(amount.get("quantity", 0)))
    account["available"] += available
    account["held"] += held


def _wrong_accounts(
    book: OrderBook, connections: set[str], accounts: Mapping[tuple[str, str], Counter[str]]
) -> Iterator[str]:
    balances = {account: balance for account, balance in book.ledger.balances().items() if account[0] in connections}
    for account in sorted(set(balances) | set(accounts)):
        ours, sums = balances.get(account, Balance(0, 0)), accounts.get(account, Counter())
        theirs = Balance(sums["available"], sums["held"])
        if ours != theirs:
            yield f"account {' '.join(account)}: {ours} at BitGo, the partner's list comes to {theirs}"
