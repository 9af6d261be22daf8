"""`allocations keys` and `allocations token`: what a development stack needs to be called by curl."""

from pathlib import Path

import click

from bitgo.client import load_private_key, sign
from bitgo.conformance.tokens import WRONG
from cli.connections import errors_said, is_there
from local.credentials import development_key, operator_token


@click.command()
@click.option("--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="private key (PEM)")
@click.option(
    "--data",
    default=".data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="data folder of `allocations up`, whose development key is used",
)
@click.option("--lifetime", default=55, show_default=True, type=click.IntRange(1), help="seconds until it expires")
@click.option("--wrong", type=click.Choice(list(WRONG)), help="one that must be refused, as `conformance` sends it")
def token(key: Path | None, data: Path, lifetime: int, wrong: str | None) -> None:
    """Sign a token as BitGo does, with the development key of `allocations up`, and print it.

    It counts once: `curl -H "X-BitGo-Signature: $(allocations token)" …`
    """
    file = key or data / "bitgo-private.pem"
    if not is_there(file):
        raise click.ClickException(f"there is no key at {file}: start `allocations up`, or name a key with --key")
    try:
        private = load_private_key(file.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{file} is no private RSA key in PEM form: {error}") from error
    click.echo(WRONG[wrong][1](private) if wrong else sign(private, lifetime_seconds=lifetime))


@click.command()
@click.option(
    "--data",
    default=".data",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="folder to fill",
)
def keys(data: Path) -> None:
    """Make a development key pair that plays BitGo's, and an operator's token, unless the folder has them.

    `allocations up` does this by itself; stacks that are started otherwise mount the folder.
    """
    with errors_said():
        data.mkdir(parents=True, exist_ok=True)
        private, public = development_key(data)
        token_file, known = operator_token(data)
    for what, file in (
        ("private key, for `allocations token`", private),
        ("public key, for INGRESS_BITGO_PUBLIC_KEY_FILES", public),
        ("operator's token, for people", token_file),
        ("its hash, for INGRESS_OPERATOR_TOKENS_FILE", known),
    ):
        click.echo(f"{file}  {what}")
