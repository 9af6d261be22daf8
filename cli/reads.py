"""`allocations show`, `accounts` and `ledger`: what operators read over HTTP, from the tables."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final, NoReturn

import click
import orjson
from pydantic import TypeAdapter, ValidationError

from cli.reads_shown import account_lines, entry_lines, history_lines, positions_line
from cli.servers import ProofSettings, database_options, with_servers
from ingress.platform import cursors, ledger_csv, reads
from ingress.platform.queries import CSV_MAX_ROWS, PAGE_MAX, AccountsQuery, HistoryQuery
from ingress.postgres.database import Connection
from schemas.answers import Answer
from schemas.fields import Currency
from schemas.platform import AccountList, History, LedgerEntry
from service.errors import OperatorError
from service.log_checks import LogIdentity, load_identity
from service.migrations import check_migrations
from service.postgres import connect

UNKNOWN: Final = 3
PART_ROWS: Final = 1000
_CURRENCY: Final[TypeAdapter[str]] = TypeAdapter(Currency)


class UnknownError(Exception):
    """There is nothing to show."""


def _run(servers: Mapping[str, Any], work: Callable[[Connection, LogIdentity], Awaitable[None]]) -> NoReturn:
    """Let `work` read and print; what keeps it from working ends the command with a sentence."""

    async def connected(settings: ProofSettings) -> int:
        async with await connect(settings, "allocations-show") as connection:
            await check_migrations(connection)
            identity = await load_identity(connection)
            if identity is None:
                raise OperatorError("this database has no log yet: a processor writes down which, when it first starts")
            try:
                await work(connection, identity)
            except UnknownError as error:
                click.echo(str(error), err=True)
                return UNKNOWN
        return 0

    with_servers(servers, connected)


def _currency(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        return _CURRENCY.validate_python(value)
    except ValidationError:
        raise click.BadParameter(f"{value!r} is no currency") from None


_json = click.option("--json", "as_json", is_flag=True, help="JSON, as the endpoints under /platform/v1 answer")


@click.command()
@click.argument("subject_id", metavar="ID", type=click.UUID)
@click.option(
    "--limit", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="of commands, the oldest first"
)
@_json
@database_options
def show(subject_id: Any, limit: int, as_json: bool, **servers: Any) -> None:  # noqa: FBT001 - click's flag
    """Show what an ID is now, and every command on it: of an allocation, deallocation, connection or adjustment.

    What `prune` has deleted is not there; that it was deleted is said. Exit status 0: shown; 3: nothing is known of it.
    """

    async def work(connection: Connection, identity: LogIdentity) -> None:
        found = {of: await _history(connection, identity, of, str(subject_id), limit) for of in reads.KINDS}
        histories = {of: each for of, each in found.items() if each}
        if not histories:
            raise UnknownError(f"nothing is known of {subject_id}")
        if as_json:
            click.echo(orjson.dumps({of: _document(each) for of, each in histories.items()}))
            return
        for of, each in histories.items():
            click.echo("\n".join(history_lines(of, each)))

    _run(servers, work)


async def _history(
    connection: Connection, identity: LogIdentity, of: str, subject_id: str, limit: int
) -> History | None:
    """A history of `limit` commands at most; its `next` says whether there are more."""
    query = HistoryQuery(limit=min(limit, PAGE_MAX))
    whole = await reads.history(connection, identity, of, subject_id, query)
    while whole and whole.next and len(whole.commands) < limit:
        following = HistoryQuery(
            after=cursors.HISTORY.place(whole.next), limit=min(limit - len(whole.commands), PAGE_MAX)
        )
        page = await reads.history(connection, identity, of, subject_id, following)
        if page is None:
            break
        whole = page.model_copy(update={"commands": whole.commands + page.commands})
    return whole


@click.command()
@click.argument("connection_id", metavar="[CONNECTION]", type=click.UUID, required=False)
@click.option(
    "--holds", is_flag=True, help="with the deallocations that are reserved: their sum is what is held; of a CONNECTION"
)
@click.option("--limit", default=500, show_default=True, type=click.IntRange(1, 100_000), help="at most so many")
@_json
@database_options
def accounts(connection_id: Any, holds: bool, limit: int, as_json: bool, **servers: Any) -> None:  # noqa: FBT001
    """List balances of all connections, or of one, and the position of the log at which they held.

    In base units, sorted by connection and currency, all at one instant. Exit status 0: listed; 3: there is no such
    connection.
    """
    if holds and connection_id is None:
        raise click.UsageError("--holds needs a CONNECTION")
    if connection_id is not None and limit > PAGE_MAX:
        raise click.UsageError(f"of one connection, {PAGE_MAX} currencies at most are listed")

    async def read(connection: Connection, identity: LogIdentity) -> tuple[AccountList, bool]:
        if connection_id is None:
            return await reads.all_accounts(connection, identity, limit)
        query = AccountsQuery(openHolds=holds, limit=limit)
        found = await reads.accounts(connection, identity, str(connection_id), query)
        if found is None:
            raise UnknownError(f"there is no connection {connection_id}, and no account of one")
        return found, found.next is not None

    async def work(connection: Connection, identity: LogIdentity) -> None:
        found, more = await read(connection, identity)
        if as_json:
            click.echo(orjson.dumps(_document(found)))
        else:
            click.echo("\n".join([*account_lines(found.accounts), positions_line("as of", found.as_of)]))
        if more:
            click.echo(f"{limit} shown, and there are more", err=True)

    _run(servers, work)


@click.command()
@click.argument("connection_id", metavar="CONNECTION", type=click.UUID)
@click.argument("currency", callback=_currency)
@click.option("--after", metavar="CURSOR", help="what follows an earlier part, which named this cursor")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, CSV_MAX_ROWS), help="at most so many")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, as the endpoint answers")
@_json
@database_options
def ledger(
    connection_id: Any,
    currency: str,
    after: str | None,
    limit: int,
    as_csv: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **servers: Any,
) -> None:
    """List the movements of an account, the oldest first, with the balances after each.

    Exit status 0: listed; 3: there is no such account.
    """
    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    try:
        place = cursors.LEDGER.place(after) if after else None
    except ValueError:
        raise click.BadParameter("is no cursor of a ledger", param_hint="--after") from None

    async def work(connection: Connection, identity: LogIdentity) -> None:
        of = reads.Ledger(identity, str(connection_id), currency)
        through = await of.sequence(connection)
        if through is None:
            raise UnknownError(f"connection {connection_id} has no account in {currency!r}")
        if as_csv:
            _write(ledger_csv.header())
        last: LedgerEntry | None = None
        async for part, more in _parts(connection, of, place, through, limit):
            if as_csv:
                _write(ledger_csv.lines(of.connection_id, of.currency, part))
            elif as_json:
                _write(b"".join(orjson.dumps(_document(each)) + b"\n" for each in part))
            else:
                click.echo("\n".join(entry_lines(part)))
            last = part[-1] if more else None
        if last:
            click.echo(f"there are more: --after {cursors.LEDGER.text(reads.place_of(last))}", err=True)

    _run(servers, work)


async def _parts(
    connection: Connection, of: reads.Ledger, after: cursors.AfterEntry | None, through: int, limit: int
) -> AsyncIterator[tuple[list[LedgerEntry], bool]]:
    """Up to `limit` entries in parts, each with whether more follow; none beyond the sequence `through`."""
    while limit:
        size = min(limit, PART_ROWS)
        found = await of.entries(connection, after, size + 1, through=through)
        if not found:
            return
        part = found[:size]
        yield part, len(found) > size
        if len(found) <= size:
            return
        after, limit = reads.place_of(part[-1]), limit - size


def _write(content: bytes) -> None:
    click.echo(content, nl=False)


def _document(answer: Answer) -> dict[str, Any]:
    return answer.model_dump(mode="json", by_alias=True, exclude_none=True)
