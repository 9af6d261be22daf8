"""Reading what a request says: limits, then strict JSON, then the model. Whatever is wrong is 400 `{}`.

Not published, so chosen: bodies up to 1 MiB (413 beyond) within 30 s (408), JSON content types only, filters
comma-separated or repeated, pages of 1 to 500 (100 when not said).
"""

import asyncio
import re
from typing import Annotated, Any, Final, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from bitgo.simulator.api.errors import ApiError, bad_request, not_found
from schemas import strict_json
from schemas.fields import Uuid

BODY_MAX_BYTES: Final = 1024 * 1024
RECEIVE_SECONDS: Final = 30.0
PAGE_SIZE_MAX: Final = 500
PAGE_NUMBER_MAX: Final = 1_000_000
FILTER_VALUES_MAX: Final = 1000

_JSON: Final = re.compile(r"application/(?:[a-z0-9!#$&^_.+-]+\+)?json")
_ID: Final[TypeAdapter[str]] = TypeAdapter(Uuid)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid")


def _split(value: Any) -> Any:
    values = str(value).split(",")
    if len(values) > FILTER_VALUES_MAX:
        raise ValueError(f"names more than {FILTER_VALUES_MAX} values")
    return values


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        raise ValueError("must be a number")
    return value


Filter = Annotated[list[T] | None, BeforeValidator(_split)]


class Query(BaseModel):
    """A list's filters and its page. Absent means all."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, extra="forbid")

    page_number: Annotated[int, BeforeValidator(_digits), Field(ge=0, le=PAGE_NUMBER_MAX)] = 0
    page_size: Annotated[int, BeforeValidator(_digits), Field(ge=1, le=PAGE_SIZE_MAX)] = 100

    def parameters(self) -> dict[str, Any]:
        """For a statement: lists as JSON, and the page as `limit` and `offset`."""
        values = self.model_dump(mode="json", exclude={"page_number", "page_size"})
        lists = {name: strict_list(value) for name, value in values.items() if isinstance(value, list)}
        return values | lists | {"limit": self.page_size, "offset": self.page_number * self.page_size}


def strict_list(values: list[str]) -> str:
    return TypeAdapter(list[str]).dump_json(values).decode()


def read_query(request: web.Request, model: type[M]) -> M:
    values: dict[str, str] = {}
    for name in request.query:
        each = request.query.getall(name)
        if len(each) > 1 and not name.endswith("s"):
            raise bad_request(f"{name} is given more than once")
        values[name] = ",".join(each)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise bad_request(faults(error)) from None


def no_query(request: web.Request) -> None:
    if request.query:
        raise bad_request(f"{next(iter(request.query))} is not known here")


async def read_json(request: web.Request) -> tuple[bytes, dict[str, Any]]:
    """The body as it came, and as a JSON object whose numbers are literals."""
    if not _JSON.fullmatch(request.headers.get("Content-Type", "").partition(";")[0].strip().lower()):
        raise bad_request("the content type must be application/json")
    try:
        async with asyncio.timeout(RECEIVE_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise ApiError(408, f"the body did not come within {RECEIVE_SECONDS:.0f} s") from None
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, f"the body is over {BODY_MAX_BYTES} bytes") from None
    except (ConnectionError, web.RequestPayloadError):
        raise bad_request("the body broke off") from None
    try:
        document = strict_json.loads(body)
    except strict_json.NotJsonError as error:
        raise bad_request(str(error)) from None
    if not isinstance(document, dict):
        raise bad_request("the body must be an object")
    return body, document


def validated(model: type[M], document: Any) -> M:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise bad_request(faults(error)) from None


def path_id(request: web.Request, name: str) -> str:
    try:
        return _ID.validate_python(request.match_info[name])
    except ValidationError:
        raise bad_request(f"{name} must be a UUID") from None


def found(value: T | None, what: str) -> T:
    if value is None:
        raise not_found(what)
    return value


def faults(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[:3]
    return "; ".join(_fault(each) for each in first)


def _fault(fault: Any) -> str:
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{where} is not known here"
    return f"{where}: {fault['msg'].removeprefix('Value error, ')}".removeprefix(": ")
