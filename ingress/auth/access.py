"""Who calls, and whether they may (contract, section 4).

All refusals look alike to the caller; the reason goes to the log and a counter.
"""

from dataclasses import dataclass

from aiohttp import web

from ingress import metrics
from ingress.auth.operators import OperatorToken, Permission, find_operator
from ingress.auth.signatures import HEADER, BadTokenError, Signatures, Token
from ingress.auth.token_replay import Claim, TokenReplay
from ingress.http.problems import forbidden, unauthorized, unavailable
from service.errors import UnavailableError
from service.logs import logger

_log = logger("ingress")


@dataclass(frozen=True)
class Caller:
    """An authenticated caller. `token` is BitGo's, still to be claimed; None for an operator."""

    name: str
    token: Token | None


class Access:
    def __init__(self, signatures: Signatures, claims: TokenReplay, operators: list[OperatorToken]) -> None:
        self._signatures = signatures
        self._claims = claims
        self._operators = operators

    def bitgo(self, request: web.Request) -> Caller:
        """The caller of a write: BitGo and nobody else. Raises ProblemError 401."""
        given = request.headers.getall(HEADER, [])
        try:
            if len(given) > 1:
                raise BadTokenError("several")
            return Caller("bitgo", self._signatures.verify(given[0] if given else None))
        except BadTokenError as error:
            raise _denied(error.reason) from None

    def reader(self, request: web.Request) -> Caller:
        """The caller of a read: BitGo, or an operator who may read. Raises ProblemError 401 or 403."""
        if HEADER in request.headers or "Authorization" not in request.headers:
            return self.bitgo(request)
        return self.operator(request, Permission.READ)

    def operator(self, request: web.Request, permission: Permission) -> Caller:
        """The caller of the platform's own endpoints: an operator and nobody else. Raises ProblemError 401 or 403."""
        operator = find_operator(self._operators, request.headers.get("Authorization"))
        if operator is None:
            raise _denied("operator_unknown")
        if permission not in operator.permissions:
            metrics.UNAUTHORIZED.labels("operator_lacks_permission").inc()
            raise forbidden(permission)
        return Caller(operator.name, None)

    async def claim(self, caller: Caller, deadline: float) -> None:
        """Claim the caller's token. Raises ProblemError: 401 if it was used before, 503 if that cannot be known now."""
        if caller.token is None:
            return
        try:
            claim = await self._claims.claim(caller.token, deadline)
        except (UnavailableError, TimeoutError) as error:
            raise unavailable("nothing was published: Postgres does not answer") from error
        if claim is not Claim.FIRST:
            raise _denied(claim)


def _denied(reason: str) -> Exception:
    metrics.UNAUTHORIZED.labels(reason).inc()
    _log.warning("request_denied", reason=reason)
    return unauthorized()
