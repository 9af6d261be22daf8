"""Wires the ingress together. Nothing else wires."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

from aiohttp import web

from ingress import app_keys
from ingress.auth.access import Access
from ingress.auth.connection_tokens import ConnectionTokens
from ingress.auth.token_replay import PRUNING, TokenReplay
from ingress.http.middleware import answer_and_log
from ingress.http.requests import RECEIVE_SECONDS, Slots
from ingress.http.server import check_address, listening
from ingress.http.tls import Certificate
from ingress.kafka.end_offsets import EndOffsets
from ingress.kafka.publisher import Publisher
from ingress.outcomes.following import NOTIFICATIONS, TABLES, listen, poll
from ingress.outcomes.hints import Hints
from ingress.outcomes.outcomes import Outcomes
from ingress.postgres.database import Database
from ingress.postgres.reached import Reached
from ingress.postgres.rows import Rows
from ingress.reloading import FILES, Reloading
from ingress.routes import add_routes
from ingress.secrets import Secrets
from ingress.settings import IngressSettings
from ingress.submit import Submission
from schemas.fields import BODY_MAX_BYTES
from service.background import keep_running
from service.health import Health, health_port
from service.log_checks import LogIdentity
from service.logs import logger
from service.postgres import KEYED
from service.process import reload_requested, stop_requested, unless
from service.start import check_assignment, check_start, when_possible

CLAIM_LANES: Final = 2
"""One each for claims and their pruning: writes have connections of their own, so reads work while commits hang."""
READ_LANES: Final = 4
"""Outcomes, allocations, watermarks, and one more."""
LIST_LANES: Final = 2

_log = logger("ingress")


async def run(settings: IngressSettings) -> None:
    """Answer requests until a stop is requested. Raises OperatorError for what only an operator can put right."""
    health = Health()
    health.problem("start", "the checks before the first request are not done")
    health.problem("port", "no caller is listened to yet")
    check_address(settings)
    secrets = Secrets(settings)
    stop, reload = stop_requested(), reload_requested()
    async with AsyncExitStack() as stack:
        url = await unless(stop, stack.enter_async_context(health_port(settings, health)))
        if url is None:
            return
        _log.info("started", metrics=url)
        publisher_stack = await stack.enter_async_context(AsyncExitStack())
        identity = await unless(stop, when_possible(lambda: _check(settings), health, "start"))
        if identity is None:
            return
        publisher = Publisher(settings, identity.partitions, health)
        publisher_stack.push_async_callback(publisher.stop)
        await unless(stop, when_possible(publisher.start, health, "kafka"))
        if stop.done():
            return
        await _serve(settings, identity, publisher, secrets, Reloading(secrets.watched, reload, health), health, stop)
    _log.info("stopped")


async def _check(settings: IngressSettings) -> LogIdentity:
    identity = await check_start(settings, claim=False)
    await check_assignment(settings, range(identity.partitions))
    return identity


async def _serve(
    settings: IngressSettings,
    identity: LogIdentity,
    publisher: Publisher,
    secrets: Secrets,
    reloading: Reloading,
    health: Health,
    stop: "asyncio.Future[None]",
) -> None:
    reached = Reached()
    database_of = partial(Database, settings, identity=identity, reached=reached)
    claims_database = database_of("allocations-ingress-claims", lanes=CLAIM_LANES, limits=KEYED)
    database = database_of("allocations-ingress", lanes=READ_LANES, limits=KEYED)
    lists = database_of("allocations-ingress-lists", lanes=LIST_LANES)
    claims = TokenReplay(claims_database)
    hints = Hints()
    outcomes = Outcomes(database, hints, health, reached)
    end_offsets = EndOffsets(settings, identity, health)
    submission = Submission(
        publisher,
        outcomes,
        end_offsets,
        lag_max_records=settings.lag_max_records,
        answer_timeout=settings.answer_timeout_seconds,
    )
    app = web.Application(client_max_size=BODY_MAX_BYTES, middlewares=[answer_and_log])
    app[app_keys.IDENTITY] = identity
    app[app_keys.ACCESS] = Access(secrets.signatures, claims, secrets.operators)
    app[app_keys.CONNECTION_TOKENS] = ConnectionTokens(database, secrets.connection_token_keys)
    app[app_keys.SUBMISSION] = submission
    app[app_keys.OUTCOMES] = outcomes
    app[app_keys.ROWS] = Rows(database)
    app[app_keys.LISTS] = lists
    _add_views(app, settings, health)
    background = (
        keep_running(NOTIFICATIONS, partial(listen, settings, outcomes, hints, health), health, is_vital=False),
        keep_running(TABLES, partial(poll, outcomes, hints, health), health),
        keep_running("kafka", end_offsets.follow, health),
        keep_running(FILES, reloading.run, health, is_vital=False),
        keep_running(PRUNING, partial(claims.prune_for_ever, health), health, is_vital=False),
    )
    await _answer(app, settings, secrets.certificate, background, health, stop)
    for each in (claims_database, database, lists):
        await each.close()


def _add_views(app: web.Application, settings: IngressSettings, health: Health) -> None:
    app[app_keys.SETTINGS] = settings
    app[app_keys.HEALTH] = health
    app[app_keys.SLOTS] = Slots(settings.requests_in_flight_max)
    app[RECEIVE_SECONDS] = settings.receive_seconds
    add_routes(app, settings)
    app.router.add_get("/livez", health.livez)
    app.router.add_get("/readyz", health.readyz_for_callers)


async def _answer(
    app: web.Application,
    settings: IngressSettings,
    certificate: Certificate | None,
    background: Iterable[Coroutine[Any, Any, None]],
    health: Health,
    stop: "asyncio.Future[None]",
) -> None:
    async with asyncio.TaskGroup() as tasks:
        followers = [tasks.create_task(each) for each in background]
        async with AsyncExitStack() as door:
            if keep_alive := await unless(stop, door.enter_async_context(listening(app, settings, certificate))):
                health.well("port")
                await stop
                health.problem("stopping", "this process was asked to stop: send no more requests")
                keep_alive.is_leaving = True
                await asyncio.sleep(settings.drain_seconds)
        for follower in followers:
            follower.cancel()
