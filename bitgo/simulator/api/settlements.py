"""Settlements that the partner asks for: the payload to sign, version 1, version 2 (contract, section 10).

Chosen where nothing is published: version 1 answers a settlement that failed for lack of funds, or was rejected, with
401, and one that stopped while pending with 500, each carrying it; a wrong signature is 401; an unknown connection is
400; version 2 is open to all partners, version 1 is 403 for one with disputes.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal

from aiohttp import web

from bitgo.simulator.api.access import TOKEN
from bitgo.simulator.api.app_keys import BEFORE_SETTLEMENT, LEDGER, PARTNER, SETTLEMENTS
from bitgo.simulator.api.errors import ApiError, bad_request
from bitgo.simulator.api.requests import no_query, read_json, validated
from bitgo.simulator.api.settlement_requests import SignedV1, SignedV2, Unsigned, transfers_of
from bitgo.simulator.api.settlement_shapes import dispute_shapes, settlement_shape
from bitgo.simulator.api.signed import check_signature
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.settlements import Request, Settlement, Transfer
from bitgo.simulator.timestamps import milliseconds_of

_STATUSES: Final = {"completed": 200, "pending": 500, "failed": 401, "rejected": 401}
"""Of version 1's answers."""


@dataclass(frozen=True)
class Stop:
    """Trouble on request: the settlement stops in `status`, and is carried by an answer with this `code`."""

    status: Literal["pending", "failed", "rejected"]
    code: int


STOP: Final = web.RequestKey("stop", Stop)


async def sign_settlement(request: web.Request) -> web.Response:
    no_query(request)
    _, document = await read_json(request)
    asked = validated(Unsigned, document)
    transfers_of(request.app[PARTNER], asked.settlement_amounts)
    return web.json_response({"payload": json.dumps(document, separators=(",", ":"), ensure_ascii=False)})


async def settle_v1(request: web.Request) -> web.Response:
    if request.app[PARTNER].has_disputes:
        raise ApiError(403, "the partner has disputes enabled: version 2 is its endpoint")
    settlement = await _settle(request, SignedV1, 1)
    return _answer(request, settlement, _STATUSES[settlement.status])


async def settle_v2(request: web.Request) -> web.Response:
    settlement = await _settle(request, SignedV2, 2)
    ids = json.dumps([settlement.settlement_id])
    settling = dispute_shapes(request.app[LEDGER], request.app[PARTNER], settled_in_settlement_ids=ids)
    return _answer(request, settlement, 200, settlingDisputes=settling)


async def _settle(request: web.Request, model: type[SignedV1], version: Literal[1, 2]) -> Settlement:
    no_query(request)
    body, document = await read_json(request)
    signed = validated(model, document)
    partner, stop = request.app[PARTNER], request.get(STOP)
    check_signature(partner, document)
    transfers = transfers_of(partner, signed.settlement_amounts)
    await request.app[BEFORE_SETTLEMENT](_connections(request.app[LEDGER], transfers))
    asked = Request(
        external_id=signed.external_id,
        version=version,
        body=body,
        transfers=transfers,
        initiated_by=request[TOKEN].name,
        notes=signed.notes,
        cutoff_at=milliseconds_of(signed.cutoff_at) if isinstance(signed, SignedV2) else None,
    )
    return request.app[SETTLEMENTS].post(asked, stop.status if stop else None)


def _connections(ledger: Ledger, transfers: Iterable[Transfer]) -> frozenset[str]:
    named = frozenset(filter(None, (name for each in transfers for name in (each.connection_id, each.counterparty_id))))
    for each in sorted(named):
        if ledger.connection(each) is None:
            raise bad_request(f"settlementAmounts: there is no connection {each}")
    return named


def _answer(request: web.Request, settlement: Settlement, status: int, **further: Any) -> web.Response:
    stop = request.get(STOP)
    shape = settlement_shape(request.app[LEDGER], request.app[PARTNER], settlement)
    code = stop.code if stop and stop.status == settlement.status else status
    return web.json_response({"settlement": shape, **further}, status=code)
