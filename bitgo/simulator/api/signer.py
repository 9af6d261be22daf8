"""A development signer, as BitGo Express has it: `POST /api/v2/ofc/signPayload` (contract, section 10).

Whatever the wallet and its passphrase, the simulator's own key signs. A payload that is an object is signed as its
JSON.stringify. For this machine only, and no token is asked for.
"""

import json
from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from bitgo.simulator.api.app_keys import SIGNER
from bitgo.simulator.api.errors import bad_request
from bitgo.simulator.api.requests import BODY_MAX_BYTES, no_query, read_json, validated
from bitgo.simulator.signatures import sign
from schemas.fields import NonEmptyText

PATH: Final = "/api/v2/ofc/signPayload"


class SignPayload(BaseModel):
    model_config = ConfigDict(extra="forbid")

    walletId: NonEmptyText  # noqa: N815 - as Express spells it
    payload: Annotated[str, Field(min_length=1, max_length=BODY_MAX_BYTES)] | dict[str, Any]
    walletPassphrase: str | None = None  # noqa: N815


async def sign_payload(request: web.Request) -> web.Response:
    no_query(request)
    body, _ = await read_json(request)
    try:
        asked = validated(SignPayload, json.loads(body))
        payload = asked.payload if isinstance(asked.payload, str) else _stringify(asked.payload)
        payload.encode()
    except (ValueError, RecursionError) as error:
        raise bad_request(f"the payload can not be signed: {error}") from None
    return web.json_response({"payload": payload, "signature": sign(request.app[SIGNER], payload)})


def _stringify(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
