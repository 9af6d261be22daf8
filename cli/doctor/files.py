"""Files that a process reads: whether it can, who else can, and when what is in them ends."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from psycopg.conninfo import conninfo_to_dict

from cli.doctor.finding import Finding, fail, ok, warn
from ingress.auth.operators import load_operator_tokens
from ingress.auth.private_keys import load_private_keys
from ingress.auth.public_keys import load_public_keys
from ingress.http.tls import Certificate
from ingress.settings import IngressSettings
from service.errors import OperatorError
from service.settings import ServiceSettings

SOON: Final = timedelta(days=30)
OTHERS: Final = 0o007
"""Mode bits: whoever has an account on the machine."""


async def check(settings: ServiceSettings) -> list[Finding]:
    found = [*_kafka(settings), *_postgres(settings)]
    if isinstance(settings, IngressSettings):
        found += [*_public_keys(settings), *_operators(settings), *_private_keys(settings), *_certificate(settings)]
    return found


def _kafka(settings: ServiceSettings) -> Iterator[Finding]:
    if settings.kafka_sasl_password_file:
        yield from _mode("kafka password", settings.kafka_sasl_password_file)
    if settings.kafka_ssl_key_password_file:
        yield from _mode("password of the kafka key", settings.kafka_ssl_key_password_file)
    if settings.kafka_ssl_ca_file:
        yield from _ends("kafka authorities", settings.kafka_ssl_ca_file)
    if settings.kafka_ssl_certificate_file:
        yield from _ends("kafka certificate", settings.kafka_ssl_certificate_file)
        yield from _mode("kafka certificate", settings.kafka_ssl_key_file or settings.kafka_ssl_certificate_file)


def _postgres(settings: ServiceSettings) -> Iterator[Finding]:
    if settings.postgres_password_file:
        yield from _mode("postgres password", settings.postgres_password_file)
        if not _is_readable(settings.postgres_password_file):
            return
    parts = conninfo_to_dict(settings.postgres_address)
    root, own = str(parts.get("sslrootcert") or ""), str(parts.get("sslcert") or "")
    if root not in {"", "system"}:
        yield from _ends("postgres authorities", Path(root))
    if own:
        yield from _ends("postgres certificate", Path(own))


def _public_keys(settings: IngressSettings) -> Iterator[Finding]:
    check = "BitGo's keys"
    try:
        keys = load_public_keys(settings.bitgo_public_key_files)
    except OperatorError as error:
        yield fail(check, str(error), "put BitGo's public keys there")
        return
    yield ok(check, f"{len(keys)}: {', '.join(kid for kid, _ in keys)}")
    for file in settings.bitgo_public_key_files:
        for each in _certificates(file):
            if each.not_valid_after_utc < datetime.now(UTC) + SOON:
                yield warn(
                    check,
                    f"a certificate in {file} ends on {each.not_valid_after_utc:%Y-%m-%d}; its key counts all the same",
                    "ask BitGo for the next key",
                )


def _operators(settings: IngressSettings) -> Iterator[Finding]:
    check = "operators' tokens"
    if settings.operator_tokens_file is None:
        return
    try:
        tokens = load_operator_tokens(settings.operator_tokens_file)
    except OperatorError as error:
        yield fail(check, str(error), "a JSON list of name, sha256 and permissions, as `allocations keys` makes one")
        return
    yield ok(check, f"{len(tokens)}: {', '.join(each.name for each in tokens) or 'nobody may read'}")
    yield from _mode(check, settings.operator_tokens_file)


def _private_keys(settings: IngressSettings) -> Iterator[Finding]:
    check = "connection token keys"
    if not settings.connection_token_key_files:
        return
    try:
        keys = load_private_keys(settings.connection_token_key_files)
    except OperatorError as error:
        yield fail(check, str(error), "put the platform's private keys there")
        return
    yield ok(check, f"{len(keys)} of RSA")
    for file in settings.connection_token_key_files:
        yield from _mode(check, file)


def _certificate(settings: IngressSettings) -> Iterator[Finding]:
    check = "TLS certificate"
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return
    try:
        Certificate(settings.tls_certificate_file, settings.tls_key_file)
    except OperatorError as error:
        yield fail(check, str(error), "certificate and key in PEM form, without a passphrase, and made for each other")
        return
    yield from _ends(check, settings.tls_certificate_file)
    yield from _mode(check, settings.tls_key_file)
    chain = _certificates(settings.tls_certificate_file)
    for below, above in pairwise(chain):
        if not _is_signed_by(below, above):
            yield fail(
                check,
                f"in {settings.tls_certificate_file}, {_name(below)} is not signed by the one after it, {_name(above)}",
                "the server's certificate first, then each one's signer",
            )
    if len(chain) == 1 and chain[0].issuer == chain[0].subject:
        yield warn(check, "it signs itself: callers trust it only if they were given it", "one of an authority")


def _ends(check: str, file: Path) -> Iterator[Finding]:
    """When the first of a file's certificates ends."""
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
        ssl.create_default_context(cafile=file)
    except OSError as error:
        yield fail(check, f"{file} can not be read: {error.strerror or error}", "mend the file, or its mode")
        return
    except ValueError:
        yield fail(check, f"{file} is no certificate in PEM form", "mend the file")
        return
    now = datetime.now(UTC)
    first = min(certificates, key=lambda each: each.not_valid_after_utc)
    ends = f"{_name(first)} in {file} ends on {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    late = [each for each in certificates if each.not_valid_before_utc > now]
    if first.not_valid_after_utc <= now:
        yield fail(check, ends.replace(" ends ", " ended "), "replace it; a running ingress takes it up by itself")
    elif late:
        yield fail(
            check,
            f"{_name(late[0])} in {file} begins on {late[0].not_valid_before_utc:%Y-%m-%d %H:%M} UTC",
            "replace it",
        )
    elif first.not_valid_after_utc < now + SOON:
        yield warn(check, ends, "replace it before; a running ingress takes it up by itself")
    else:
        yield ok(check, ends)


def _mode(check: str, file: Path) -> Iterator[Finding]:
    try:
        mode = file.stat().st_mode & 0o777
    except OSError as error:
        yield fail(check, f"{file} can not be read: {error.strerror}", "mend the file, or its mode")
        return
    if not _is_readable(file):
        yield fail(check, f"{file} can not be read by this account (mode {mode:o})", "mend its owner or its mode")
    elif mode & OTHERS:
        yield warn(check, f"{file} has mode {mode:o}: every account here can read it", f"chmod o= {file}")


def _is_readable(file: Path) -> bool:
    try:
        with file.open("rb"):
            return True
    except OSError:
        return False


def _certificates(file: Path) -> list[x509.Certificate]:
    """Those in a file that may have keys as well, and nothing when it has none."""
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):
        return []


def _is_signed_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _name(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string() or "a certificate without a name"
