"""`allocations connection-token`: a one-time token for a user of the platform, to be entered at BitGo."""

import getpass
import json
import os
import re
from datetime import timedelta
from functools import partial
from typing import Any, Final

import click

from cli.connections import Text
from cli.servers import ProofSettings, database_options, with_servers
from ingress.connection_tokens import issued_document
from ingress.postgres import connection_tokens as table
from schemas.platform_bodies import TOKEN_MAX_SECONDS
from service.migrations import check_migrations
from service.postgres import connect

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Lifetime(click.ParamType):
    """How long: 90s, 15m, 2h, 1d."""

    name = "lifetime"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([smhd])", value, re.ASCII)
        seconds = int(found[1]) * _UNITS[found[2]] if found else 0
        if not 1 <= seconds <= TOKEN_MAX_SECONDS:
            self.fail(f"{value} is no time from 1s to 1d, like 15m", param, ctx)
        return timedelta(seconds=seconds)


@click.command()
@click.option("--account", type=Text(), help="the account of the platform: its partnersConnectionId")
@click.option("--client", type=Text(), help="whose account it is: its partnersClientId")
@click.option("--expires", default="15m", show_default=True, type=Lifetime(), help="how long it counts: 90s, 15m, 1d")
@click.option("--revoke", metavar="HASH", help="instead: revoke the token with this hash")
@click.option("--json", "as_json", is_flag=True, help="all that is known of it, and not the token alone")
@database_options
def connection_token(
    *, account: str | None, client: str | None, expires: timedelta, revoke: str | None, as_json: bool, **given: Any
) -> None:
    """Issue a one-time token that connects an account of the platform to BitGo, and print it. It is shown once.

    Exit status 0: done; 1: there is no such token to revoke; 78: the database is not right, or does not answer.
    """
    if revoke is not None:
        if account or client:
            raise click.UsageError("--revoke needs the hash alone")
        if not re.fullmatch(r"[0-9a-f]{64}", revoke, re.ASCII):
            raise click.UsageError("--revoke needs the tokenHash, 64 hexadecimal digits, and not the token")
        with_servers(given, partial(_revoke, token_hash=revoke))
    if not account or not client:
        raise click.UsageError("whose token? Name --account and --client")
    with_servers(given, partial(_issue, account=account, client=client, lifetime=expires, as_json=as_json))


async def _issue(settings: ProofSettings, *, account: str, client: str, lifetime: timedelta, as_json: bool) -> int:
    async with await connect(settings, "allocations-connection-token") as connection:
        await check_migrations(connection)
        new = await table.issue(
            connection,
            partners_connection_id=account,
            partners_client_id=client,
            lifetime=lifetime,
            issued_by=_person(),
        )
    document = issued_document(new)
    click.echo(json.dumps(document) if as_json else new.token)
    click.echo(f"for {account}, until {document['expiresAt']}; to revoke it: --revoke {new.token_hash}", err=True)
    return 0


async def _revoke(settings: ProofSettings, *, token_hash: str) -> int:
    async with await connect(settings, "allocations-connection-token") as connection:
        await check_migrations(connection)
        found = await table.revoke(connection, token_hash=token_hash)
    click.echo("revoked" if found else "there is no such token", err=True)
    return 0 if found else 1


def _person() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"account number {os.getuid()}"
