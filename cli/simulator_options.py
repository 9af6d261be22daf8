"""What the verbs of `allocations simulator` have in common."""

import asyncio
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from bitgo.client import load_private_key
from bitgo.simulator.compare import UnreachableError
from bitgo.simulator.ledger import Ledger, LedgerError
from bitgo.simulator.run import Partner
from cli.connections import is_url

UNREACHABLE: Final = 2
INTERRUPTED: Final = 130

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)
T = TypeVar("T")

ledger_option: Final = click.option(
    "--ledger",
    "file",
    default=".data/simulator.sqlite",
    show_default=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="BitGo's ledger; made when it is not there",
)


def partner_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--partner", "url", required=True, metavar="URL", help="the partner's base URL"),
            click.option(
                "--key",
                "keys",
                required=True,
                multiple=True,
                type=FILE,
                help="BitGo's private key (PEM); repeatable, for scenarios that rotate them",
            ),
            click.option(
                "--enterprise-id", default="enterprise", show_default=True, help="the partner's, for its reads"
            ),
            click.option("--base-path", default="/bitgo/v1", show_default=True, help="before /allocations"),
            click.option(
                "--operator-token",
                type=FILE,
                help="file with an operator's token that may write, where this product has connections registered",
            ),
            ledger_option,
        ]
    ):
        command = option(command)
    return command


def partner_of(given: dict[str, Any]) -> Partner:
    """Raises UsageError."""
    if not is_url(given["url"]):
        raise click.UsageError("--partner must be like https://partner.example")
    try:
        keys = [load_private_key(file.read_bytes()) for file in given["keys"]]
    except (OSError, ValueError, TypeError) as error:
        raise click.UsageError(f"--key: no private RSA key in PEM form: {error}") from error
    return Partner(
        given["url"], keys, given["enterprise_id"], given["base_path"], _operator_token(given.get("operator_token"))
    )


def _operator_token(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        text = file.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--operator-token: {error}") from error
    if not text.isprintable() or len(text.split()) != 1:
        raise click.UsageError(f"--operator-token: {file} holds no single token")
    return text


def open_ledger(file: Path) -> Ledger:
    """Raises UsageError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return Ledger(file)
    except (OSError, sqlite3.Error) as error:
        raise click.UsageError(f"{file} is no ledger, or can not be written: {error}") from error


def until_done(work: Awaitable[T]) -> T:
    """Ends the process with a sentence when the partner cannot be reached, and quietly at Ctrl-C."""
    try:
        return asyncio.run(_ungrouped(work))
    except KeyboardInterrupt:
        click.echo("stopped; the same command goes on where this one was", err=True)
        sys.exit(INTERRUPTED)
    except (UnreachableError, LedgerError) as error:
        click.echo(str(error), err=True)
        sys.exit(UNREACHABLE)


async def _ungrouped(work: Awaitable[T]) -> T:
    """What a group of tasks raised, as one of them raised it."""
    try:
        return await work
    except BaseExceptionGroup as group:
        first: BaseException = group
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from None
