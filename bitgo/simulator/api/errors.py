"""Refusals in BitGo's form: 400 is `{}`, all others `{"error": sentence}` (contract, section 5).

BitGo keeps to itself what is wrong with a request; here the header `Simulator-Reason` says it.
"""

import re
from collections.abc import Mapping
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from bitgo.simulator.settlements import ConflictError, UncoveredError
from service.logs import logger

REASON: Final = "Simulator-Reason"
NETWORK: Final = "/api/network/"
"""Where BitGo's endpoints are; the simulator's own say in the body what is wrong, too."""
_BAD_REQUEST: Final = 400
_NOT_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")
_REASON_MAX_CHARACTERS: Final = 500

_log = logger("simulator")


class ApiError(Exception):
    def __init__(
        self,
        status: int,
        sentence: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self._headers = headers or {}

    def response(self, *, is_bitgos: bool = True) -> web.Response:
        reason = _NOT_PRINTABLE.sub("?", self.sentence)[:_REASON_MAX_CHARACTERS]
        body = {} if is_bitgos and self.status == _BAD_REQUEST else {"error": self.sentence}
        return web.json_response(body, status=self.status, headers={REASON: reason, **self._headers})


def bad_request(sentence: str) -> ApiError:
    return ApiError(_BAD_REQUEST, sentence)


def not_found(what: str) -> ApiError:
    return ApiError(404, f"{what} not found")


@web.middleware
async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        refusal = error
    except (ConflictError, UncoveredError) as error:
        refusal = ApiError(409 if isinstance(error, ConflictError) else 422, str(error))
    except web.HTTPException as error:
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        refusal = ApiError(error.status, error.reason.lower(), headers)
    except Exception as error:  # noqa: BLE001 - whatever a view does, the caller has an answer
        _log.error("failed", method=request.method, path=request.path, exc_info=error)
        refusal = ApiError(500, "internal server error")
    _log.info("refused", method=request.method, path=request.path, status=refusal.status, reason=refusal.sentence)
    return refusal.response(is_bitgos=request.path.startswith(NETWORK))
