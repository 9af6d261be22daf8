"""One file over HTTP: resumed where it was left, checked before anybody sees it."""

import hashlib
import http.client
import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import certifi

from local.report import LocalError

ATTEMPTS: Final = 5
FIRST_PAUSE_SECONDS: Final = 0.5
TIMEOUT_SECONDS: Final = 10
CHUNK_BYTES: Final = 256 * 1024
RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class Interrupted(Exception):  # noqa: N818 - nothing went wrong here; another thread failed
    """The transfer was told to stop; what has arrived stays in the part file."""


@dataclass
class Transfer:
    """What the threads share: how much has arrived, and whether to go on."""

    arrived_bytes: int = 0
    files: int = 0
    stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, size_bytes: int, files: int = 0) -> None:
        with self._lock:
            self.arrived_bytes += size_bytes
            self.files += files


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """`sha256` is hexadecimal; `part` and `target` are on one file system."""

    name: str
    url: str
    sha256: str
    size_bytes: int
    part: Path
    target: Path


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(wanted: Wanted, transfer: Transfer) -> None:
    """Leave the checked file at `wanted.target`.

    Raises LocalError when the content is wrong or the network fails for good, Interrupted when told to stop.
    """
    transfer.add(size_of(wanted.part))
    for attempt in range(1, ATTEMPTS + 1):
        try:
            resumed = fetch(wanted, transfer)
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS or not is_passing(error):
                raise LocalError(
                    f"could not download {wanted.name} from {wanted.url}: {error}. "
                    "What has arrived is kept: run the same command again and it resumes."
                ) from error
            if transfer.stop.wait(FIRST_PAUSE_SECONDS * 2 ** (attempt - 1)):
                raise Interrupted from None
            continue
        if is_right(wanted):
            wanted.part.replace(wanted.target)
            transfer.add(0, files=1)
            return
        discard(wanted.part, transfer)
        if not resumed:
            break
    raise LocalError(
        f"{wanted.name} from {wanted.url} is not the file that the lock names "
        f"(sha256 {wanted.sha256}, {wanted.size_bytes} bytes); it was deleted."
    )


def fetch(wanted: Wanted, transfer: Transfer) -> bool:
    """Complete the part file; True when an earlier part was continued.

    Raises OSError or HTTPException when the server did not send all of it.
    """
    offset = size_of(wanted.part)
    if offset >= wanted.size_bytes:
        return True
    request = urllib.request.Request(wanted.url)  # noqa: S310 - the operator chooses the repository
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=tls()) as response:  # noqa: S310
            resumed = offset > 0 and continues(response, offset)
            if not resumed:
                discard(wanted.part, transfer)
            receive(response, wanted, transfer)
    except urllib.error.HTTPError as error:
        error.close()
        raise
    return resumed


def receive(response: http.client.HTTPResponse, wanted: Wanted, transfer: Transfer) -> None:
    with wanted.part.open("ab") as part:
        while part.tell() <= wanted.size_bytes and (chunk := response.read(CHUNK_BYTES)):
            part.write(chunk)
            transfer.add(len(chunk))
            if transfer.stop.is_set():
                raise Interrupted
        if part.tell() < wanted.size_bytes:
            raise ConnectionResetError(f"the connection ended after {part.tell()} of {wanted.size_bytes} bytes")


def continues(response: http.client.HTTPResponse, offset: int) -> bool:
    sent = response.headers.get("Content-Range", "")
    return response.status == http.HTTPStatus.PARTIAL_CONTENT and sent.startswith(f"bytes {offset}-")


def discard(part: Path, transfer: Transfer) -> None:
    transfer.add(-size_of(part))
    part.unlink(missing_ok=True)


def is_right(wanted: Wanted) -> bool:
    return size_of(wanted.part) == wanted.size_bytes and sha256_of(wanted.part) == wanted.sha256


def is_passing(error: Exception) -> bool:
    """Whether the same request may succeed in a moment."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code in RETRIED
    return not isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError)


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


@cache
def tls() -> ssl.SSLContext:
    """Trust the machine's certificates and certifi's: a bare machine has none, a company's machine has its own."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context
