"""`allocations conformance`: numbered checks of any partner's endpoints."""

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from bitgo.conformance.catalogue import chosen, names
from bitgo.conformance.check import Check
from bitgo.conformance.reports import html, json, junit
from bitgo.conformance.run import Report, UnreachableError, run
from bitgo.conformance.terms import Terms
from cli.conformance_options import conformance_options, terms_of
from cli.conformance_table import print_list, print_report
from cli.progress import progress

UNREACHABLE: Final = 2
INTERRUPTED: Final = 130


@click.command()
@click.argument("url", required=False)
@conformance_options
def conformance(url: str | None, key: Path | None, **options: Any) -> None:
    """Check the partner at URL against what BitGo published, and against the contract where it published nothing.

    URL is where the partner's paths begin: https://partner.example, with /bitgo/v1/allocations below it. Every check
    makes ids and accounts of its own and cleans nothing up: use it on an environment for tests. Each check names the
    document that it comes from; a failed one shows what was sent as a curl line.

    Ends with status 0 when all passed, 1 when a check failed, 2 when the
    partner cannot be reached.

    For a stack of `allocations up`: conformance http://127.0.0.1:8080 --key .data/bitgo-private.pem
    --enterprise-id enterprise --unpublished --html report.html
    """
    only = [each.strip() for each in (options["only"] or "").split(",") if each.strip()]
    try:
        checks = chosen(only)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if options["is_list"]:
        print_list(checks)
        return
    if not url or not key:
        raise click.UsageError("URL and --key are needed (or --list)")
    terms = terms_of(url, key, options)
    report = _run(checks, terms, options["skips"])
    for file, write in ((options["junit_file"], junit), (options["json_file"], json), (options["html_file"], html)):
        if file is not None:
            _write(file, write.render(report))
    print_report(report, key, every=options["is_all"])
    sys.exit(report.exit_status)


def _run(checks: Sequence[Check], terms: Terms, skips: Sequence[tuple[str, str]]) -> Report:
    reasons = {check.id: reason for pattern, reason in skips for check in checks if names(pattern, check)}
    try:
        with progress("checking", len(checks), "checks") as advance:
            return asyncio.run(run(checks, terms, reasons, lambda _: advance(1)))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except UnreachableError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNREACHABLE)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}") from error
