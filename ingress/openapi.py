"""The OpenAPI 3.1 document, made from the models that validate requests and shape answers."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from ingress import platform_document
from ingress.app_keys import SETTINGS
from ingress.auth.signatures import HEADER
from ingress.partner_reads import FILTERS, ListQuery
from ingress.platform import document as platform
from ingress.settings import IngressSettings
from schemas.answers import AllocationAnswer, DeallocationAnswer, NetworkError, Problem, ReadList, ReadOne
from schemas.fields import Uuid
from schemas.http import RESERVE_BODIES
from schemas.words import Kind, Verb

_ANSWERS: Final[dict[Kind, type[BaseModel]]] = {
    Kind.ALLOCATION: AllocationAnswer,
    Kind.DEALLOCATION: DeallocationAnswer,
}
_OTHERS: Final[tuple[type[BaseModel], ...]] = (
    Problem,
    NetworkError,
    ReadList,
    ReadOne,
    *platform.ANSWERS,
    *platform_document.ANSWERS,
)
_UUID: Final = TypeAdapter(Uuid).json_schema()
_MEANINGS: Final = {
    200: "the outcome, or the current status",
    202: "the log has the command; Location answers as this request would have",
    400: "a wrong field, a wrong id, or no JSON",
    401: "not authorized; the same for every reason",
    403: "the operator's token lacks the permission",
    404: "there is no such allocation",
    408: "the body did not come in time",
    409: "a conflict; `code` says which, `allocationStatus` the current status",
    410: "the journal row at this position was pruned; without a position, the current status is answered",
    413: "the body is over 64 KiB",
    415: "the content type is not JSON",
    422: "rejected, where `rejected_as` is 422",
    500: "the fault is ours; it was logged",
    503: "unavailable, outcome_pending or overloaded; try again after Retry-After",
}
_REFERENCE: Final = "#/components/schemas/{model}"
_HEADERS: Final = {
    "Command-Id": {"schema": {"type": "string"}, "description": "the command's id in the log"},
    "Log-Position": {"schema": {"type": "string"}, "description": "topic/partition/offset of the command"},
    "Allocation-Version": {"schema": {"type": "string"}, "description": "how many transitions the allocation has made"},
}


async def document_view(request: web.Request) -> web.Response:
    return web.json_response(document(request.app[SETTINGS]))


def document(settings: IngressSettings) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, Any] = {}
    for kind in Kind:
        paths |= _paths_of(kind, settings)
    partners = "/api/network/v1/enterprises/{enterpriseId}/partners/allocations"
    enterprise = _parameter("enterpriseId", "path", {"type": "string", "minLength": 1})
    paths[partners] = {
        "get": _network("List allocations and deallocations", ReadList, [enterprise, *_list_parameters()])
    }
    paths[partners + "/{id}"] = {
        "get": _network("One allocation or deallocation", ReadOne, [enterprise, _parameter("id", "path", _UUID)])
    }
    for path, operations in (platform.paths() | platform_document.paths(settings.base_path)).items():
        paths[path] = paths.get(path, {}) | operations
    return {
        "openapi": "3.1.0",
        "info": {"title": "Allocations: the partner's side of BitGo's Go Network", "version": version("allocations")},
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY},
    }


_SECURITY: Final = {
    "bitgo": {"type": "apiKey", "in": "header", "name": HEADER, "description": "JWT, RS256, single use"},
    "operator": {"type": "http", "scheme": "bearer"},
}


def _schemas() -> dict[str, Any]:
    bodies = [(body, "validation") for body in (*RESERVE_BODIES.values(), *platform_document.BODIES)]
    answers = [(model, "serialization") for model in (*_ANSWERS.values(), *_OTHERS)]
    _, definitions = models_json_schema([*bodies, *answers], ref_template=_REFERENCE)  # type: ignore[list-item]
    return dict(definitions["$defs"])


def _paths_of(kind: Kind, settings: IngressSettings) -> dict[str, Any]:
    base, body, one = settings.base_path, RESERVE_BODIES[kind].__name__, _ANSWERS[kind]
    path_id = _parameter("id", "path", _UUID)
    prefer = _parameter("Prefer", "header", {"type": "string", "examples": ["respond-async"]}, required=False)
    paths: dict[str, Any] = {
        f"{base}/{kind}s": {
            "post": {
                "summary": f"Reserve {_article(kind)}",
                "parameters": [prefer],
                "requestBody": {"required": True, "content": {"application/json": {"schema": _ref(body)}}},
                "security": [{"bitgo": []}],
                "responses": _responses((200, 202, 422), one, (400, 401, 408, 409, 413, 415, 500, 503), Problem),
            }
        }
    }
    for noun in (kind, f"{kind}s"):
        for verb in (Verb.CLEAR, Verb.RELEASE):
            paths[f"{base}/{noun}/{{id}}/{verb}"] = {
                "put": {
                    "summary": f"{verb.capitalize()} {_article(kind)}",
                    "parameters": [path_id, prefer],
                    "security": [{"bitgo": []}],
                    "responses": _responses((200, 202), one, (400, 401, 404, 408, 409, 413, 500, 503), Problem),
                }
            }
        paths[f"{base}/{noun}/{{id}}"] = {
            "get": {
                "summary": f"Current status of {_article(kind)}",
                "parameters": [
                    path_id,
                    _parameter("position", "query", {"type": "string"}, required=False),
                    _parameter("commandId", "query", {"type": "string"}, required=False),
                ],
                "security": [{"bitgo": []}, {"operator": []}],
                "responses": _responses((200, 422), one, (400, 401, 403, 404, 409, 410, 500, 503), Problem),
            }
        }
    return paths


def _network(summary: str, model: type[BaseModel], parameters: list[dict[str, Any]]) -> dict[str, Any]:
    responses = _responses((200,), model, (401, 403, 404, 500, 503), NetworkError, "application/json")
    responses["400"] = {"description": _MEANINGS[400], "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "summary": summary,
        "parameters": parameters,
        "security": [{"bitgo": []}, {"operator": []}],
        "responses": responses,
    }


def _list_parameters() -> list[dict[str, Any]]:
    fields = ListQuery.model_json_schema()["properties"]
    names = {field.alias: name for name, field in ListQuery.model_fields.items()}
    parameters = []
    for alias, schema in fields.items():
        parameter = _parameter(alias, "query", _not_null(schema), required=False)
        if names[alias] in FILTERS:
            parameter |= {"style": "form", "explode": False}
        parameters.append(parameter)
    return parameters


def _not_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An absent parameter is absent, not null."""
    for choice in schema.get("anyOf", []):
        if choice.get("type") == "array":
            return {**choice, "items": _inline(choice["items"]), "minItems": 1}
    return {name: value for name, value in schema.items() if name != "title"}


def _inline(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "string", "enum": list(Kind)} if "$ref" in items else items


def _responses(
    good: Iterable[int],
    model: type[BaseModel],
    bad: Iterable[int],
    problem: type[BaseModel],
    problem_type: str = "application/problem+json",
) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in good:
        content = {"type": "object"} if status == 202 else _ref(model.__name__)  # noqa: PLR2004
        responses[str(status)] = {
            "description": _MEANINGS[status],
            "content": {"application/json": {"schema": content}},
            "headers": _HEADERS,
        }
    for status in bad:
        body = {problem_type: {"schema": _ref(problem.__name__)}}
        responses[str(status)] = {"description": _MEANINGS[status], "content": body}
    return responses


def _parameter(name: str, place: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=name)}


def _article(kind: Kind) -> str:
    return "an allocation" if kind is Kind.ALLOCATION else "a deallocation"
