"""Who calls, and whether they may (contract, section 4).

The caller learns one answer; the log and a counter learn the reason.
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
    """Who was let in; `token` is BitGo's, still to be claimed, or None for an operator."""

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
        operator = find_operator(self._operators, request.headers["Authorization"])
        if operator is None:
            raise _denied("operator_unknown")
        if Permission.READ not in operator.permissions:
            metrics.UNAUTHORIZED.labels("operator_lacks_permission").inc()
            raise forbidden(Permission.READ)
        return Caller(operator.name, None)

    async def claim(self, caller: Caller, deadline: float) -> None:
        """Use the caller's token up. Raises ProblemError: 401 when it was used before, 503 when nobody can say."""
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
    _log.warning("denied", reason=reason)
    return unauthorized()
