"""BitGo as a server. Wires its endpoints together; nothing else wires.

Chosen where nothing is published: no limit on the number of requests; what is in flight has three seconds at the end.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from bitgo.simulator.api import (
    allocations,
    app_keys,
    balances,
    control,
    reports,
    settlement_reads,
    settlements,
    signer,
    trouble,
)
from bitgo.simulator.api.access import check_access
from bitgo.simulator.api.errors import answer_errors
from bitgo.simulator.api.requests import BODY_MAX_BYTES
from bitgo.simulator.disputes import Disputes
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.partner import Partner
from bitgo.simulator.settlements import Settlements
from bitgo.simulator.signatures import public_hex
from bitgo.simulator.tokens import Token
from bitgo.simulator.trouble import Trouble, Troubles
from service.errors import OperatorError
from service.http_server import Runner
from service.process import stop_requested

View = Callable[[web.Request], Awaitable[web.StreamResponse]]

FINISH_SECONDS: Final = 3.0
LINE_MAX_BYTES: Final = 64 * 1024
"""Of a request's first line: a filter of a thousand ids fits in."""
_ROOT: Final = "/api/network/{version}/enterprises/{{enterpriseId}}/partners/{path}"
ENDPOINTS: Final[dict[str, View]] = {
    "GET allocations": allocations.list_allocations,
    "GET allocations/{allocationId}": allocations.get_allocation,
    "PUT allocations": reports.report_allocation,
    "PUT deallocations": reports.report_deallocation,
    "GET balances": balances.get_balances,
    "GET settlements-signing": settlements.sign_settlement,
    "POST settlements-signing": settlements.sign_settlement,
    "POST settlements": settlements.settle_v1,
    "POST v2/settlements": settlements.settle_v2,
    "GET settlements": settlement_reads.list_settlements,
    "GET settlements/{settlementId}": settlement_reads.get_settlement,
    "GET settlement/disputes": settlement_reads.list_disputes,
}
"""By the names that trouble is requested with."""
CARRYING: Final = frozenset({"POST settlements", "POST v2/settlements"})


def create_app(
    ledger: Ledger,
    partner: Partner,
    tokens: Sequence[Token],
    *,
    signing_key: EllipticCurvePrivateKey | None = None,
    before_settlement: app_keys.BeforeSettlement | None = None,
    troubles: Sequence[Trouble] = (),
) -> web.Application:
    """`signing_key` adds the development signer. Raises ValueError when a trouble is for no endpoint."""
    app = web.Application(
        client_max_size=BODY_MAX_BYTES, middlewares=[trouble.make_trouble, answer_errors, check_access]
    )
    app[app_keys.LEDGER] = ledger
    app[app_keys.PARTNER] = partner
    app[app_keys.TOKENS] = tokens
    app[app_keys.SETTLEMENTS] = Settlements(ledger)
    app[app_keys.DISPUTES] = Disputes(ledger)
    app[app_keys.BEFORE_SETTLEMENT] = before_settlement or _nothing
    app[app_keys.TROUBLES] = Troubles(frozenset(ENDPOINTS), CARRYING)
    for each in troubles:
        app[app_keys.TROUBLES].add(each)
    app[trouble.ENDPOINT] = dict(_add_endpoints(app))
    _add_control(app)
    if signing_key is not None:
        app[app_keys.SIGNER] = signing_key
        app.router.add_post(signer.PATH, signer.sign_payload)
    return app


async def _nothing(_connections: frozenset[str]) -> None:
    pass


def _add_endpoints(app: web.Application) -> list[tuple[tuple[str, str], str]]:
    names = []
    for name, view in ENDPOINTS.items():
        method, _, path = name.partition(" ")
        version, path = ("v2", path.removeprefix("v2/")) if path.startswith("v2/") else ("v1", path)
        full = _ROOT.format(version=version, path=path)
        app.router.add_route(method, full, view)
        names.append(((method, full), name))
    return names


def _add_control(app: web.Application) -> None:
    app.router.add_get("/simulator", control.get_overview, allow_head=False)
    app.router.add_get("/simulator/trouble", control.get_trouble, allow_head=False)
    app.router.add_post("/simulator/trouble", control.add_trouble)
    app.router.add_delete("/simulator/trouble", control.clear_trouble)
    app.router.add_post("/simulator/settlements/{settlementId}/finalize", control.finalize)
    app.router.add_post("/simulator/settlements/{settlementId}/reject", control.reject)
    app.router.add_post("/simulator/settlements/{settlementId}/disputes", control.open_dispute)
    app.router.add_post("/simulator/disputes/{disputeId}/retract", control.retract_dispute)
    app.router.add_post("/simulator/disputes/{disputeId}/close", control.close_dispute)


@asynccontextmanager
async def listening(app: web.Application, host: str, port: int) -> AsyncIterator[str]:
    """Gives the URL; port 0 takes a free one. Raises OperatorError when the address can not be had."""
    runner = Runner(app, access_log=None, shutdown_timeout=FINISH_SECONDS, max_line_size=LINE_MAX_BYTES)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise OperatorError(f"can not listen on {host}:{port}: {words}") from None
        taken = runner.addresses[0]
        yield f"http://{f'[{host}]' if ':' in host else host}:{taken[1]}"
    finally:
        await runner.cleanup()


async def serve(
    host: str,
    port: int,
    ledger: Ledger,
    partner: Partner,
    tokens: Sequence[Token],
    *,
    signing_key: EllipticCurvePrivateKey | None = None,
    before_settlement: app_keys.BeforeSettlement | None = None,
    troubles: Sequence[Trouble] = (),
    stop: "asyncio.Future[None] | None" = None,
) -> None:
    """Answer requests until Ctrl-C or SIGTERM, or until `stop` is done. Prints one line of JSON when ready."""
    app = create_app(
        ledger,
        partner,
        tokens,
        signing_key=signing_key,
        before_settlement=before_settlement,
        troubles=troubles,
    )
    stop = stop or stop_requested()
    async with listening(app, host, port) as url:
        print(json.dumps(_ready(url, partner)), flush=True)  # noqa: T201 - standard output is for this line
        await stop


def _ready(url: str, partner: Partner) -> dict[str, str | int]:
    return {
        "url": url,
        "enterpriseId": partner.enterprise_id,
        "partnerId": partner.partner_id,
        "goAccountKey": public_hex(partner.go_account_key),
        "control": f"{url}/simulator",
        "pid": os.getpid(),
    }
