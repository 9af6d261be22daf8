"""GET /platform/v1/…: reads for operators, on the lists' connections. No token of BitGo's opens them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

from aiohttp import web
from pydantic import BaseModel
from yarl import URL

from ingress.app_keys import ACCESS, IDENTITY, LISTS, SLOTS
from ingress.auth.operators import Permission
from ingress.http.problems import ProblemError, bad_request, unavailable
from ingress.platform import cursors, ledger_csv, reads
from ingress.platform.queries import (
    CSV_MAX_ROWS,
    PAGE,
    PAGE_MAX,
    AccountsQuery,
    ConnectionsQuery,
    HistoryQuery,
    LedgerQuery,
    NoQuery,
    ReservationsQuery,
    path_currency,
    path_uuid,
    query_of,
)
from ingress.platform.reads import Ledger
from ingress.postgres.database import Connection
from schemas.platform import LedgerEntry
from service.errors import UnavailableError
from service.logs import logger

CSV_PART_ROWS: Final = 1000
CSV: Final = "text/csv"

R = TypeVar("R")
_log = logger("ingress")


async def connections(request: web.Request) -> web.StreamResponse:
    async with _reading(request):
        query = query_of(request, ConnectionsQuery)
        return _answer(await _load(request, lambda connection: reads.connections(connection, query)))


async def connection(request: web.Request) -> web.StreamResponse:
    async with _reading(request):
        connection_id = path_uuid(request, "connectionId")
        query_of(request, NoQuery)
        found = await _load(request, lambda connection: reads.connection_now(connection, connection_id))
        return _answer(_known(found, "connection"))


async def accounts(request: web.Request) -> web.StreamResponse:
    async with _reading(request):
        connection_id = path_uuid(request, "connectionId")
        query, identity = query_of(request, AccountsQuery), request.app[IDENTITY]
        found = await _load(request, lambda connection: reads.accounts(connection, identity, connection_id, query))
        return _answer(_known(found, "connection, and no account of one"))


async def history(request: web.Request, *, of: str) -> web.StreamResponse:
    async with _reading(request):
        subject_id = path_uuid(request, f"{of}Id")
        query, identity = query_of(request, HistoryQuery), request.app[IDENTITY]
        found = await _load(request, lambda connection: reads.history(connection, identity, of, subject_id, query))
        return _answer(_known(found, of))


async def reservations(request: web.Request) -> web.StreamResponse:
    async with _reading(request):
        query = query_of(request, ReservationsQuery)
        return _answer(await _load(request, lambda connection: reads.reservations(connection, query)))


async def ledger(request: web.Request) -> web.StreamResponse:
    """As JSON a page; as CSV up to 100,000 entries, with the rest behind a `Link` header."""
    async with _reading(request):
        of = Ledger(request.app[IDENTITY], path_uuid(request, "connectionId"), path_currency(request))
        query = query_of(request, LedgerQuery)
        as_csv = _wants_csv(request, query)
        if not as_csv and (query.limit or 0) > PAGE_MAX:
            raise bad_request([("limit", f"is {PAGE_MAX} at most, and {CSV_MAX_ROWS} for CSV")])
        sequence = _known(await _load(request, of.sequence), "account")
        if as_csv:
            return await _export(request, of, await _part(request, of, query, sequence))
        return _answer(await _load(request, lambda connection: of.page(connection, query.after, query.limit or PAGE)))


def _wants_csv(request: web.Request, query: LedgerQuery) -> bool:
    if query.format is not None:
        return query.format == "csv"
    accepted = {
        each.split(";")[0].strip().lower() for each in ",".join(request.headers.getall("Accept", [])).split(",")
    }
    return CSV in accepted and "application/json" not in accepted


class _Part(NamedTuple):
    """What one CSV holds: entries after a place, through a sequence; `next` is the cursor of what follows."""

    after: cursors.AfterEntry | None
    through: int
    next: str | None


async def _part(request: web.Request, of: Ledger, query: LedgerQuery, sequence: int) -> _Part:
    """Settled before the first byte is sent: entries that are written meanwhile belong to a later part."""
    limit = query.limit or CSV_MAX_ROWS

    async def last_two(connection: Connection) -> list[LedgerEntry]:
        return await of.entries(connection, query.after, 2, through=sequence, skip=limit - 1)

    found = await _load(request, last_two)
    if len(found) < 2:  # noqa: PLR2004 - the last one of this part, and one after it
        return _Part(query.after, sequence, None)
    return _Part(query.after, found[0].sequence, cursors.LEDGER.text(reads.place_of(found[0])))


async def _export(request: web.Request, of: Ledger, part: _Part) -> web.StreamResponse:
    """Read and write by parts of a thousand. If Postgres goes away meanwhile, the connection breaks off."""
    after = part.after

    async def following(connection: Connection) -> list[LedgerEntry]:
        return await of.entries(connection, after, CSV_PART_ROWS, through=part.through)

    entries = await _load(request, following)
    response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="ledger.csv"'})
    response.content_type, response.charset = CSV, "utf-8"
    if part.next:
        link = URL(request.raw_path, encoded=True).update_query(after=part.next)
        response.headers["Link"] = f'<{link}>; rel="next"'
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await response.write(ledger_csv.header())
        while entries:
            await response.write(ledger_csv.lines(of.connection_id, of.currency, entries))
            after = reads.place_of(entries[-1])
            if after.sequence >= part.through:
                break
            entries = await request.app[LISTS].run(following)
    except UnavailableError as error:
        _log.warning("csv_broken_off", error=str(error))
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        _log.info("csv_not_read")
    return response


@asynccontextmanager
async def _reading(request: web.Request) -> AsyncIterator[None]:
    """Of an operator who may read, within the limit of requests in flight."""
    caller = request.app[ACCESS].operator(request, Permission.READ)
    request["log"] = {"caller": caller.name}
    with request.app[SLOTS]:
        yield


async def _load(request: web.Request, work: Callable[[Connection], Awaitable[R]]) -> R:
    try:
        return await request.app[LISTS].run(work)
    except UnavailableError as error:
        raise unavailable("the tables do not answer") from error


def _known(found: R | None, what: str) -> R:
    if found is None:
        raise ProblemError(404, "not_found", f"there is no such {what}")
    return found


def _answer(document: BaseModel) -> web.Response:
    body = document.model_dump_json(by_alias=True, exclude_none=True)
    return web.Response(text=body, content_type="application/json")
