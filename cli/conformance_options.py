"""The options of `allocations conformance`: what a person tells about a partner."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from bitgo.client import load_private_key
from bitgo.conformance.catalogue import CHECKS, names
from bitgo.conformance.terms import AT_ONCE, CHECK_SECONDS, REQUEST_SECONDS, TOTAL_SECONDS, Account, Amount, Terms
from cli.connections import is_url
from schemas.fields import QUANTITY_MAX_DIGITS
from schemas.words import AfterFinal

_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_SECONDS: Final = click.FloatRange(0, min_open=True)
_AFTER_FINAL: Final = click.Choice([each.value for each in AfterFinal])
Command = Callable[..., Any]


class AmountType(click.ParamType):
    name = "CURRENCY:QUANTITY"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Amount:
        currency, _, digits = str(value).rpartition(":")
        if not currency or not digits.isascii() or not digits.isdigit() or len(digits) > QUANTITY_MAX_DIGITS:
            self.fail(f"{value!r} is not like BTC:5, a quantity in base units", param, context)
        return Amount(currency, int(digits))


class AccountType(click.ParamType):
    name = "CONNECTION,CLIENT,PARTNERS_CONNECTION,PARTNER_CLIENT"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Account:
        parts = str(value).split(",")
        if len(parts) != 4 or not all(parts):  # noqa: PLR2004
            self.fail(
                "four ids, separated by commas: connectionId, clientId, partnersConnectionId, partnerClientId",
                param,
                context,
            )
        return Account(*parts)


class SkipType(click.ParamType):
    name = "ID=REASON"

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, str]:
        pattern, _, reason = (part.strip() for part in str(value).partition("="))
        if not pattern or not reason:
            self.fail(f"{value!r} has no reason: --skip 'race-06=why it is left out'", param, context)
        if not any(names(pattern, check) for check in CHECKS):
            self.fail(f"{pattern} names no check; --list shows them all", param, context)
        return pattern, reason


_OPTIONS: Final = (
    click.option(
        "--key",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="private key (PEM) whose public half the partner takes for BitGo's",
    ),
    click.option("--list", "is_list", is_flag=True, help="show every check, and run none"),
    click.option("--only", metavar="ID,…", help="only these checks or groups: table,auth-0*,race-06"),
    click.option(
        "--skip",
        "skips",
        multiple=True,
        type=SkipType(),
        help="leave a check or group out; the reason is in the reports (repeatable)",
    ),
    click.option(
        "--edition",
        type=click.Choice(["seed", "later"]),
        default="seed",
        show_default=True,
        help="spelling of fields and form of numbers in what is sent",
    ),
    click.option(
        "--allocations-after-final",
        type=_AFTER_FINAL,
        default="conflict",
        show_default=True,
        help="what a reserve of a cleared or released allocation gets",
    ),
    click.option(
        "--deallocations-after-final",
        type=_AFTER_FINAL,
        default="reissue",
        show_default=True,
        help="the same of deallocations",
    ),
    click.option(
        "--rejected-as",
        type=click.Choice(["200", "422"]),
        default="200",
        show_default=True,
        help="HTTP status of a rejected reserve",
    ),
    click.option(
        "--amount",
        type=AmountType(),
        default="BTC:5",
        show_default=True,
        help="what the checks allocate, in base units",
    ),
    click.option("--other-currency", default="ETH", show_default=True, help="another currency that the partner takes"),
    click.option("--rejects", type=AmountType(), help="an allocation that the partner's policy rejects"),
    click.option(
        "--account", type=AccountType(), help="one connection for all checks, for a partner that knows no others"
    ),
    click.option("--enterprise-id", help="the enterprise in the paths of the read endpoints"),
    click.option("--connections", is_flag=True, help="check the activation of connections too"),
    click.option(
        "--connection-token",
        "connection_tokens",
        multiple=True,
        help="one that was not used yet; it is used up (implies --connections)",
    ),
    click.option(
        "--partner-id", default="partner", show_default=True, help="our partner id at BitGo, sent with a connection"
    ),
    click.option(
        "--unpublished",
        is_flag=True,
        help="also the checks that rest on what BitGo does not publish: error codes, GET of a status, …",
    ),
    click.option("--base-path", default="/bitgo/v1", show_default=True, help="path of the endpoints below URL"),
    click.option(
        "--answer-within", type=_SECONDS, default=10.0, show_default=True, help="seconds that an answer may take"
    ),
    click.option(
        "--request-timeout",
        type=_SECONDS,
        default=REQUEST_SECONDS,
        show_default=True,
        help="seconds after which a request is given up",
    ),
    click.option(
        "--check-timeout",
        type=_SECONDS,
        default=CHECK_SECONDS,
        show_default=True,
        help="seconds after which a check is given up",
    ),
    click.option(
        "--total-timeout",
        type=_SECONDS,
        default=TOTAL_SECONDS,
        show_default=True,
        help="seconds after which nothing more is begun",
    ),
    click.option(
        "--at-once", type=click.IntRange(1, 64), default=AT_ONCE, show_default=True, help="checks that run at once"
    ),
    click.option("--junit", "junit_file", type=_FILE, help="write a report for a CI server (JUnit XML)"),
    click.option("--json", "json_file", type=_FILE, help="write a report for programs"),
    click.option("--html", "html_file", type=_FILE, help="write a report for people: one file, nothing else needed"),
    click.option("--all", "is_all", is_flag=True, help="a line for each check, not only for those that failed"),
)


def conformance_options(command: Command) -> Command:
    """In the order of `--help`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def terms_of(url: str, key: Path, options: Mapping[str, Any]) -> Terms:
    if not is_url(url) or (where := urlsplit(url)).query or where.fragment or where.username:
        raise click.UsageError("URL must be like https://partner.example, without a query and without a password")
    if options["amount"].quantity < 2:  # noqa: PLR2004
        raise click.UsageError("--amount must be 2 base units at least: some checks take a part of it")
    try:
        private = load_private_key(key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{key} is no private RSA key in PEM form: {error}") from error
    return Terms(
        url=url.rstrip("/"),
        key=private,
        base_path=f"/{options['base_path'].strip('/')}",
        edition=options["edition"],
        allocations_after_final=AfterFinal(options["allocations_after_final"]),
        deallocations_after_final=AfterFinal(options["deallocations_after_final"]),
        rejected_as=int(options["rejected_as"]),
        amount=options["amount"],
        other_currency=options["other_currency"],
        rejects=options["rejects"],
        account=options["account"],
        enterprise_id=options["enterprise_id"],
        connections=options["connections"] or bool(options["connection_tokens"]),
        connection_tokens=options["connection_tokens"],
        partner_id=options["partner_id"],
        unpublished=options["unpublished"],
        answer_within_seconds=options["answer_within"],
        request_seconds=options["request_timeout"],
        check_seconds=options["check_timeout"],
        total_seconds=options["total_timeout"],
        at_once=options["at_once"],
    )
