"""`allocations simulator serve`: BitGo as a server."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from bitgo.client import BitGo
from bitgo.simulator import server
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.order_book import PARTNER_ID
from bitgo.simulator.partner import Partner
from bitgo.simulator.signatures import load_public_key, load_signing_key, new_key, private_pem
from bitgo.simulator.single import clearing
from bitgo.simulator.tokens import Token, load_tokens, token
from cli.simulator_options import FILE, ledger_option, open_ledger, partner_of
from service.errors import EXIT_OPERATOR, OperatorError


@click.command()
@ledger_option
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8090, show_default=True, type=click.IntRange(0, 65535), help="0 for any free one")
@click.option("--enterprise-id", default="enterprise", show_default=True, help="the partner's at BitGo")
@click.option("--partner-id", default=PARTNER_ID, show_default=True, help="the partner's at BitGo")
@click.option("--token", "secret", envvar="SIMULATOR_TOKEN", help="a bearer token with Read and Write")
@click.option("--tokens", "tokens_file", type=FILE, help="a JSON list of tokens' hashes with their permissions")
@click.option("--go-account-key", help="the public key (hex) that settlements and reports are signed with")
@click.option(
    "--signing-key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="its private key (PEM): adds the development signer, POST /api/v2/ofc/signPayload; made when it is not there",
)
@click.option("--asynchronous", is_flag=True, help="the partner reports by itself what became of reserves")
@click.option("--disputes", is_flag=True, help="the partner settles with disputes (v2)")
@click.option("--broker", is_flag=True, help="the partner is a broker: settlements net to 0")
@click.option("--partner", "url", metavar="URL", help="clear what is open there before a settlement; needs --key")
@click.option("--key", "keys", multiple=True, type=FILE, help="BitGo's private key (PEM), for --partner")
@click.option("--base-path", default="/bitgo/v1", show_default=True, help="of --partner, before /allocations")
def serve(**given: Any) -> None:
    """Answer what a partner asks of BitGo: allocations, balances, reports, settlements, disputes.

    When ready, one line of JSON says where. /simulator answers this machine only: trouble on request (401 and 500 that
    carry a settlement, 409, 422, 429, slow and cut answers), finalizing, disputes. Ctrl-C stops it.
    """
    if bool(given["url"]) != bool(given["keys"]):
        raise click.UsageError("--partner and --key belong together")
    try:
        with open_ledger(given["file"]) as ledger:
            asyncio.run(_serve(ledger, given))
    except OperatorError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_OPERATOR)


async def _serve(ledger: Ledger, given: dict[str, Any]) -> None:
    tokens, (public_key, signing_key) = _tokens(given), _go_account_key(given)
    partner = Partner(
        given["enterprise_id"],
        given["partner_id"],
        public_key,
        is_broker=given["broker"],
        has_disputes=given["disputes"],
        is_asynchronous=given["asynchronous"],
    )

    async def answer(before_settlement: Callable[[frozenset[str]], Awaitable[None]] | None) -> None:
        await server.serve(
            given["host"],
            given["port"],
            ledger,
            partner,
            tokens,
            signing_key=signing_key,
            before_settlement=before_settlement,
        )

    if not given["url"]:
        await answer(None)
        return
    there = partner_of(given)
    async with BitGo(there.url, there.keys[0], there.base_path) as bitgo:
        await answer(clearing(ledger, bitgo))


def _tokens(given: dict[str, Any]) -> list[Token]:
    tokens = [token(given["secret"])] if given["secret"] else []
    if given["tokens_file"]:
        tokens += load_tokens(given["tokens_file"])
    if not tokens:
        raise click.UsageError("who may call? Give --token, SIMULATOR_TOKEN or --tokens")
    return tokens


def _go_account_key(given: dict[str, Any]) -> tuple[Any, Any]:
    """The public key, and the private one when the development signer is wanted."""
    file: Path | None = given["signing_key"]
    try:
        if file is None:
            if not given["go_account_key"]:
                raise click.UsageError("which key signs settlements? Give --go-account-key or --signing-key")
            return load_public_key(given["go_account_key"]), None
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(private_pem(new_key()))
        private = load_signing_key(file.read_bytes())
    except (OSError, ValueError) as error:
        raise click.UsageError(f"the Go Account key: {error}") from error
    return private.public_key(), private
