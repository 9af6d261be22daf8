"""What the OpenAPI document says of connections, their tokens, and adjustments."""

from collections.abc import Iterable
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from ingress.platform.document import PREFIX
from schemas.answers import Problem
from schemas.fields import Sha256, Uuid
from schemas.http import ActivateBody
from schemas.platform_answers import (
    AdjustmentAnswer,
    AdjustmentBatchAnswer,
    ConnectionAnswer,
    ConnectionTokenIssued,
    ConnectionTokenList,
)
from schemas.platform_bodies import AdjustmentBatchBody, AdjustmentBody, ConnectionTokenBody

BODIES: Final[tuple[type[BaseModel], ...]] = (ActivateBody, ConnectionTokenBody, AdjustmentBody, AdjustmentBatchBody)
ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    ConnectionAnswer,
    ConnectionTokenIssued,
    ConnectionTokenList,
    AdjustmentAnswer,
    AdjustmentBatchAnswer,
)
_MEANINGS: Final = {
    200: "the outcome, or as it stands",
    201: "issued",
    202: "the log has the command; Location answers as this request would have",
    204: "revoked",
    400: "a wrong field, a wrong id, or no JSON",
    401: "not authorized; the same for every reason",
    403: "`invalid_connection_token`; or the operator's token lacks the permission",
    404: "there is nothing of this id",
    408: "the body did not come in time",
    409: "a conflict; `code` says which",
    410: "the journal row at this position was pruned",
    413: "the body is over the limit",
    415: "the content type is not JSON",
    500: "the fault is ours; it was logged",
    503: "unavailable, outcome_pending or overloaded; try again after Retry-After",
}
_BITGO: Final[list[dict[str, list[str]]]] = [{"bitgo": []}]
_OPERATOR: Final[list[dict[str, list[str]]]] = [{"operator": []}]
_PREFER: Final = {"name": "Prefer", "in": "header", "required": False, "schema": {"type": "string"}}
_AT: Final = [
    {"name": name, "in": "query", "required": False, "schema": {"type": "string"}} for name in ("position", "commandId")
]
_BODY: Final = (400, 401, 408, 413, 415, 500, 503)


def paths(base: str) -> dict[str, Any]:
    """`base`: the prefix of the endpoints that BitGo calls."""
    tokens, adjustments = f"{PREFIX}/connection-tokens", f"{PREFIX}/adjustments"
    one_id = [_in_path("id", Uuid)]
    found: dict[str, Any] = {
        f"{base}/connections": {
            "post": _operation("Activate a connection", _BITGO, (200, 202), ConnectionAnswer, (*_BODY, 403, 409))
            | _body(ActivateBody)
            | {"parameters": [_PREFER]}
        },
        f"{base}/connections/{{id}}": {
            "get": _operation(
                "A connection", _BITGO + _OPERATOR, (200,), ConnectionAnswer, (400, 401, 403, 404, 409, 410, 500, 503)
            )
            | {"parameters": one_id + _AT}
        },
        tokens: {
            "post": _operation("Issue a one-time token", _OPERATOR, (201,), ConnectionTokenIssued, (*_BODY, 403))
            | _body(ConnectionTokenBody),
            "get": _operation(
                "Tokens that have not expired", _OPERATOR, (200,), ConnectionTokenList, (401, 403, 500, 503)
            ),
        },
        f"{tokens}/{{tokenHash}}": {
            "delete": _operation("Revoke a token", _OPERATOR, (204,), None, (400, 401, 403, 404, 500, 503))
            | {"parameters": [_in_path("tokenHash", Sha256)]}
        },
        adjustments: {
            "post": _operation("Move balances", _OPERATOR, (200, 202), AdjustmentAnswer, (*_BODY, 403, 409))
            | _body(AdjustmentBody)
            | {"parameters": [_PREFER]}
        },
        f"{adjustments}/batch": {
            "post": _operation(
                "Move balances, up to 1,000 times, answered one by one",
                _OPERATOR,
                (200,),
                AdjustmentBatchAnswer,
                (*_BODY, 403),
            )
            | _body(AdjustmentBatchBody)
        },
        f"{adjustments}/{{id}}": {
            "get": _operation(
                "An adjustment", _OPERATOR, (200,), AdjustmentAnswer, (400, 401, 403, 404, 409, 410, 500, 503)
            )
            | {"parameters": one_id + _AT}
        },
    }
    for word in ("deactivate", "reactivate"):
        operation = _operation(
            f"{word.capitalize()} a connection",
            _OPERATOR,
            (200, 202),
            ConnectionAnswer,
            (400, 401, 403, 404, 408, 409, 413, 500, 503),
        )
        found[f"{PREFIX}/connections/{{id}}/{word}"] = {"post": operation | {"parameters": [*one_id, _PREFER]}}
    return found


def _operation(
    summary: str,
    security: list[dict[str, list[str]]],
    good: Iterable[int],
    answer: type[BaseModel] | None,
    bad: Iterable[int],
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in good:
        responses[str(status)] = {"description": _MEANINGS[status]}
        if answer is not None:
            schema = {"type": "object"} if status == 202 else _ref(answer)  # noqa: PLR2004
            responses[str(status)]["content"] = {"application/json": {"schema": schema}}
    for status in sorted(bad):
        content = {"application/problem+json": {"schema": _ref(Problem)}}
        responses[str(status)] = {"description": _MEANINGS[status], "content": content}
    return {"summary": summary, "security": security, "responses": responses}


def _body(model: type[BaseModel]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _ref(model)}}}}


def _in_path(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": TypeAdapter(kind).json_schema()}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
