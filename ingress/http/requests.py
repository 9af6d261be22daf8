"""Reading a request: limits first, then JSON, then the model."""

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, TypeAdapter, ValidationError

from ingress import metrics
from ingress.http.problems import ProblemError, bad_request, overloaded
from schemas import strict_json
from schemas.fields import Uuid
from schemas.records import is_traceparent
from schemas.words import Kind, Subject

RECEIVE_SECONDS: Final = web.AppKey("receive_seconds", float)
"""How long a body may take to come."""
_JSON: Final = re.compile(r"application/(?:[a-z0-9!#$&^_.+-]+\+)?json")
_ID: Final[TypeAdapter[str]] = TypeAdapter(Uuid)

M = TypeVar("M", bound=BaseModel)


class Slots:
    """Places for requests in flight. Every authenticated request takes one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        metrics.IN_FLIGHT.set_function(lambda: self._taken)

    def __enter__(self) -> None:
        """Take a place. Raises ProblemError `overloaded` when there is none."""
        if self._taken >= self._limit:
            raise overloaded("too many requests are in flight")
        self._taken += 1

    def __exit__(self, *_: object) -> None:
        self._taken -= 1

    @contextmanager
    def several(self, wanted: int) -> Iterator[int]:
        """Take further places, for a request that is many: as many as it wants, and at most half of those that are
        free, so that it alone turns nobody away. Yields how many, which may be 0.
        """
        taken = min(wanted, (self._limit - self._taken) // 2)
        self._taken += taken
        try:
            yield taken
        finally:
            self._taken -= taken


async def read_body(request: web.Request, deadline: float) -> bytes:
    """Raises ProblemError: 413 over the endpoint's limit, 408 if it does not arrive in time, 400 if it is cut off."""
    if (request.content_length or 0) > request.client_max_size:
        raise _too_large(request)
    seconds = min(request.app[RECEIVE_SECONDS], deadline - asyncio.get_running_loop().time())
    try:
        if request.content.is_eof():  # it came with the head, as nearly all do: nothing to wait for
            return await request.read()
        async with asyncio.timeout(seconds):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise _too_large(request) from None
    except (ConnectionError, web.RequestPayloadError):
        raise ProblemError(400, "incomplete", "the body broke off") from None
    except TimeoutError:
        raise ProblemError(408, "too_slow", f"the body did not come within {seconds:.1f} s") from None


def _too_large(request: web.Request) -> ProblemError:
    return ProblemError(413, "too_large", f"the body is over {request.client_max_size} bytes")


async def read_json(request: web.Request, deadline: float) -> bytes:
    """The body, if it says that it is JSON. Raises ProblemError: 413, 415, 408."""
    if not _JSON.fullmatch(media_type(request.headers.get("Content-Type", ""))):
        raise ProblemError(415, "not_json", "the content type must be application/json")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise ProblemError(415, "compressed", "the body must not be compressed")
    return await read_body(request, deadline)


def media_type(content_type: str) -> str:
    """Without its parameters, which may be anything: aiohttp's own parser fails on some."""
    return content_type.partition(";")[0].strip().lower()


async def read_model(request: web.Request, model: type[M], deadline: float) -> M:
    """The body as a model. Raises ProblemError: 400 with the fields that are wrong, 413, 415, 408."""
    body = await read_json(request, deadline)
    try:
        return model.model_validate(strict_json.loads(body))
    except (strict_json.NotJsonError, ValidationError) as error:
        raise refusal(error) from None


def refusal(error: strict_json.NotJsonError | ValidationError) -> ProblemError:
    """400, with the fields that are wrong."""
    if isinstance(error, strict_json.NotJsonError):
        return bad_request([("", str(error))])
    return bad_request([_field(each) for each in error.errors(include_url=False, include_context=False)])


def _field(error: Any) -> tuple[str, str]:
    return ".".join(str(part) for part in error["loc"]), error["msg"].removeprefix("Value error, ")


def path_id(request: web.Request, kind: Kind | Subject) -> str:
    """The id in the path, in lower case. Raises ProblemError 400."""
    try:
        return _ID.validate_python(request.match_info["id"])
    except ValidationError as error:
        raise bad_request([(f"{kind}Id", _field(error.errors()[0])[1])]) from None


def traceparent(request: web.Request) -> str:
    """The caller's trace context, or a new one."""
    given = request.headers.get("traceparent", "")
    if is_traceparent(given):
        return given
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


def wants_async(request: web.Request) -> bool:
    """`Prefer: respond-async` (RFC 7240)."""
    preferences = ",".join(request.headers.getall("Prefer", []))
    return any(each.split(";")[0].strip().lower() == "respond-async" for each in preferences.split(","))
