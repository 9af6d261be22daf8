"""Every way in which a request is refused, in one place (contract, section 8)."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from schemas.words import Kind, Refusal, Subject

RETRY_AFTER_SECONDS: Final = 1

NETWORK: Final = "/api/network/"

REFUSALS: Final[Mapping[Refusal, tuple[int, str]]] = {
    Refusal.NOT_FOUND: (404, "there is no such allocation"),
    Refusal.ID_IN_USE: (409, "the id belongs to the other kind"),
    Refusal.DIFFERENT_CONTENT: (409, "the id was reserved with other content"),
    Refusal.ALREADY_REJECTED: (409, "it was rejected"),
    Refusal.ALREADY_CLEARED: (409, "it was cleared"),
    Refusal.ALREADY_RELEASED: (409, "it was released"),
    Refusal.INVALID_CONNECTION_TOKEN: (403, "the connection token is unknown, expired or used"),
    Refusal.ACCOUNT_CONNECTED: (409, "the account is connected already"),
    Refusal.ACCOUNT_NOT_EMPTY: (409, "the account holds assets"),
    Refusal.INSUFFICIENT_BALANCE: (409, "a balance would fall below zero"),
}
"""HTTP status and sentence of the machine's refusals. `expired` is not here: its caller gets 503 `unavailable`."""


class ProblemError(Exception):
    """An answer that is not a success. `headers` go with it; `fields` are further members of the problem document."""

    def __init__(
        self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **fields: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.fields = {name: value for name, value in fields.items() if value is not None}

    def document(self) -> dict[str, Any]:
        """The problem document (RFC 9457)."""
        return {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "error": self.detail,
            **self.fields,
        }

    def response(self) -> web.Response:
        return web.json_response(
            self.document(), status=self.status, headers=self.headers, content_type="application/problem+json"
        )

    def network_response(self) -> web.Response:
        """The same in the form of the endpoints under /api/network (contract, section 5)."""
        document = {} if self.status == HTTPStatus.BAD_REQUEST else {"error": self.detail}
        return web.json_response(document, status=self.status, headers=self.headers)


def bad_request(errors: Sequence[tuple[str, str]]) -> ProblemError:
    listed = [{"field": field, "message": message} for field, message in errors]
    detail = "; ".join(f"{field}: {message}" if field else message for field, message in errors[:3])
    return ProblemError(400, "bad_request", detail, errors=listed)


def unauthorized() -> ProblemError:
    return ProblemError(401, "unauthorized", "the request is not authorized", {"WWW-Authenticate": "Bearer"})


def forbidden(permission: str) -> ProblemError:
    return ProblemError(403, "forbidden", f"the token lacks the permission {permission}")


def not_found(kind: Kind | Subject = Kind.ALLOCATION) -> ProblemError:
    noun = kind if isinstance(kind, Subject) else Kind.ALLOCATION
    return ProblemError(404, Refusal.NOT_FOUND, f"there is no such {noun}")


def pruned(headers: Mapping[str, str]) -> ProblemError:
    detail = "what became of this command is no longer kept; without a position, the current status is answered"
    return ProblemError(410, "pruned", detail, headers)


def unavailable(
    detail: str = "nothing was published; try again", headers: Mapping[str, str] | None = None
) -> ProblemError:
    return _retry("unavailable", detail, headers)


def outcome_pending(headers: Mapping[str, str] | None = None) -> ProblemError:
    detail = "published or perhaps published, outcome unknown; the same request again gets the one true outcome"
    return _retry("outcome_pending", detail, headers)


def overloaded(detail: str) -> ProblemError:
    return _retry("overloaded", f"{detail}; nothing was published", None)


def _retry(code: str, detail: str, headers: Mapping[str, str] | None) -> ProblemError:
    return ProblemError(503, code, detail, {"Retry-After": str(RETRY_AFTER_SECONDS), **(headers or {})})


def is_network(path: str) -> bool:
    """Errors under this prefix have BitGo's form, not ours (contract, section 5)."""
    return path.startswith(NETWORK)
