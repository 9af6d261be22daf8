"""One HTTP request and its answer, byte for byte, within a time limit."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from schemas import strict_json

ANSWER_MAX_BYTES: Final = 1024 * 1024


class NoAnswerError(Exception):
    """Nothing that HTTP calls an answer came back in time."""


@dataclass(frozen=True)
class Request:
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    body_words: str | None = None
    """The shell's words for a body that is too long to be shown."""
    token: str | None = None
    """The value of X-BitGo-Signature. It is never shown: `token_words` is."""
    token_words: str | None = None
    """The shell's words for such a token."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str
    seconds: float
    document: Any
    """The decoded JSON, numbers as NumberLiteral; None when it is no JSON."""

    def field(self, *names: str) -> Any:
        """A member of the document, at any depth; None when it is not there."""
        found = self.document
        for name in names:
            found = found.get(name) if isinstance(found, dict) else None
        return found

    @property
    def content_type(self) -> str:
        return self.headers.get("Content-Type", "").split(";")[0].strip().lower()


class Wire:
    """Sends what it is given and nothing more: no redirects, no cookies, no repeats."""

    def __init__(self, session: aiohttp.ClientSession, timeout_seconds: float) -> None:
        self._session = session
        self._timeout = timeout_seconds
        # aiohttp would repeat a PUT or GET whose connection broke, with a token that may be used by then.
        session._retry_connection = False  # noqa: SLF001

    async def send(self, request: Request) -> Answer:
        """Raises NoAnswerError."""
        headers = dict(request.headers)
        if request.token is not None:
            headers["X-BitGo-Signature"] = request.token
        started = time.perf_counter()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._session.request(
                    request.method, request.url, headers=headers, data=request.body, allow_redirects=False
                ) as response,
            ):
                raw = await response.content.read(ANSWER_MAX_BYTES) if response.status else b""
                while len(raw) < ANSWER_MAX_BYTES and (more := await response.content.read(ANSWER_MAX_BYTES)):
                    raw += more
        except TimeoutError:
            raise NoAnswerError(f"no answer within {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NoAnswerError(f"no answer: {_sentence(error)}") from None
        text = raw.decode("utf-8", "replace")
        return Answer(response.status, dict(response.headers), text, time.perf_counter() - started, _decoded(raw))


def _sentence(error: Exception) -> str:
    return str(error) or type(error).__name__


def _decoded(raw: bytes) -> Any:
    try:
        return strict_json.loads(raw)
    except strict_json.NotJsonError:
        return None


def session(at_once: int) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=at_once * 32)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": "allocations-conformance"},
        skip_auto_headers=["Content-Type"],
    )
