"""What the OpenAPI document says of the reads for operators, made from the models of their queries and answers."""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from ingress.platform.queries import (
    AccountsQuery,
    ConnectionsQuery,
    HistoryQuery,
    LedgerQuery,
    NoQuery,
    Query,
    ReservationsQuery,
)
from ingress.platform.reads import KINDS
from schemas.answers import Problem
from schemas.fields import Currency, Uuid
from schemas.platform import AccountList, ConnectionList, ConnectionNow, History, LedgerPage, ReservationList
from schemas.words import Kind

PREFIX: Final = "/platform/v1"
ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    ConnectionList,
    ConnectionNow,
    AccountList,
    LedgerPage,
    History,
    ReservationList,
)
_MEANINGS: Final = {
    400: "a parameter or an id that is wrong, unknown, or given twice",
    401: "not authorized; the same for every reason",
    403: "the operator's token lacks the permission settlement_network_read",
    404: "there is nothing of this id",
    500: "the fault is ours; it was logged",
    503: "unavailable or overloaded; try again after Retry-After",
}
_UUID: Final = TypeAdapter(Uuid).json_schema()


def paths() -> dict[str, Any]:
    """The paths under /platform/v1 that read."""
    connections = f"{PREFIX}/connections"
    ledger = _get("The ledger of an account, as JSON or CSV, the oldest entry first", LedgerQuery, LedgerPage)
    ledger["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    ledger["responses"]["200"]["headers"] = {
        "Link": {"schema": {"type": "string"}, "description": 'of CSV: what follows, rel="next"; absent at the end'}
    }
    found = {
        connections: _get("Connections", ConnectionsQuery, ConnectionList, known=False),
        f"{connections}/{{connectionId}}": _get("A connection", NoQuery, ConnectionNow),
        f"{connections}/{{connectionId}}/accounts": _get(
            "Balances at one instant, with their open holds if asked, and the position of the log at which they held",
            AccountsQuery,
            AccountList,
        ),
        f"{connections}/{{connectionId}}/accounts/{{currency}}/ledger": ledger,
        f"{PREFIX}/reservations": _get(
            "Open reservations, the oldest first", ReservationsQuery, ReservationList, known=False
        ),
    } | {
        f"{PREFIX}/{of}s/{{{of}Id}}/history": _get(f"Every command on an id of this kind: {of}", HistoryQuery, History)
        for of in KINDS
    }
    return {
        path: {"get": operation | {"parameters": _in_path(path) + operation["parameters"]}}
        for path, operation in found.items()
    }


def _get(summary: str, query: type[Query], answer: type[BaseModel], *, known: bool = True) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": _ref(Problem)}}
    good = {"description": "as it stands", "content": {"application/json": {"schema": _ref(answer)}}}
    bad = {
        str(status): {"description": meaning, "content": problem}
        for status, meaning in _MEANINGS.items()
        if known or status != 404  # noqa: PLR2004
    }
    return {
        "summary": summary,
        "parameters": _parameters(query),
        "security": [{"operator": []}],
        "responses": {"200": good} | bad,
    }


def _parameters(query: type[Query]) -> list[dict[str, Any]]:
    properties = query.model_json_schema().get("properties", {})
    return [_parameter(name, "query", _present(schema), required=False) for name, schema in properties.items()]


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """An absent parameter is absent, not null."""
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    kept = {name: value for name, value in schema.items() if name not in ("anyOf", "title") and value is not None}
    for choice in choices:
        kept |= {"type": "string", "enum": list(Kind)} if "$ref" in choice else choice
    return kept


def _in_path(path: str) -> list[dict[str, Any]]:
    names: Sequence[str] = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    schemas = {"currency": TypeAdapter(Currency).json_schema()}
    return [_parameter(name, "path", schemas.get(name, _UUID), required=True) for name in names]


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
