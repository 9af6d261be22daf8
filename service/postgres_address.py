"""Validation of the database address, without ever repeating it.

libpq, psycopg and yoyo name pieces of a malformed address in their errors; with an @ or a / in the password, that is a
piece of the password.
"""

import re
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict

_URL: Final = re.compile(r"postgres(?:ql)?://(?:(?P<user>[^@]*)@)?(?P<rest>[^@]*)")
_USER: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=%:-]*")
_REST: Final = re.compile(r"[^\s#]*")
_HOST: Final = re.compile(r"[A-Za-z0-9._,:%/-]*")
LABEL_MAX: Final = 63
_PORT: Final = re.compile(r"[0-9,]*")
_WORDS: Final = (
    "must be postgresql://user:password@host:port/database; in user and password, characters that mean something in an "
    "address are written as their code (@ %40, : %3A, / %2F, # %23, % %25, a space %20)"
)


def check_postgres_address(address: str) -> None:
    """Raises ValueError for what is neither such a URL nor libpq's `host=… user=…`."""
    try:
        parts = conninfo_to_dict(address)
    except (psycopg.Error, ValueError):
        raise ValueError(_WORDS) from None
    host, port = (str(parts.get(name) or "") for name in ("host", "port"))
    if (
        not _HOST.fullmatch(host)
        or not all(map(_is_host, host.split(",")))
        or not _PORT.fullmatch(port)
        or not _is_well_written(address)
    ):
        raise ValueError(_WORDS)


def _is_host(host: str) -> bool:
    """Without an empty or too long label, for which the resolver has an error of its own kind."""
    return "/" in host or all(1 <= len(label) <= LABEL_MAX for label in host.removesuffix(".").split(".")) or not host


def _is_well_written(address: str) -> bool:
    if "://" not in address.partition("=")[0]:
        return True
    url = _URL.fullmatch(address)
    return url is not None and bool(_USER.fullmatch(url["user"] or "")) and bool(_REST.fullmatch(url["rest"]))
