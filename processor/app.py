"""Wires the processor together: Faust, the batcher, the relay, the watchdog, the health port. Nothing else wires."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from processor.apply import Applier
from processor.kafka import coordinator
from processor.kafka.batcher import Batcher
from processor.kafka.expiry import TASK, Expiry
from processor.kafka.faust_app import faust_app
from processor.kafka.watchdog import Watchdog
from processor.plug.plug import Plug, plug_of
from processor.postgres.rejections import Rejections
from processor.postgres.store import Store
from processor.relay.relay import Relay
from processor.settings import ProcessorSettings
from service.background import keep_running
from service.errors import OperatorError
from service.health import Health, health_port
from service.log_checks import LogIdentity
from service.logs import logger
from service.process import reload_requested, stop_requested, unless
from service.start import check_assignment, check_start, when_possible

STOP_SECONDS: Final = 5.0
PLUG: Final = "policy failures"
"""The part of /readyz that speaks of a platform's own policy, of which the process is degraded and not unready."""
PLUG_LOOK_SECONDS: Final = 0.5

_log = logger("processor")


async def run(settings: ProcessorSettings) -> None:
    """Apply commands until a stop is requested. Raises OperatorError, or whatever made going on unsafe."""
    health = Health()
    health.problem("start", "the checks before the first record are not done")
    stop = stop_requested()
    reload_requested()  # its files are read at every connection: there is nothing to do
    async with AsyncExitStack() as stack:
        url = await unless(stop, stack.enter_async_context(health_port(settings, health)))
        if url is None:
            return
        _log.info("started", metrics=url, instance_id=settings.instance_id)
        plug = await stack.enter_async_context(_plugged(settings))
        identity = await unless(stop, when_possible(lambda: _check(settings), health, "start"))
        if identity is not None:
            await _Processor(settings, identity, health, plug).run(stop)
    _log.info("stopped")


@asynccontextmanager
async def _plugged(settings: ProcessorSettings) -> AsyncIterator[Plug | None]:
    """The platform's own policy, started, if there is one. Raises OperatorError."""
    plug = plug_of(settings)
    try:
        if plug:
            await asyncio.to_thread(plug.start)
            _log.info("policy_started", policy=settings.policy, version=plug.version)
        yield plug
    finally:
        if plug:
            plug.close()


async def _check(settings: ProcessorSettings) -> LogIdentity:
    identity = await check_start(settings, claim=True)
    await coordinator.check_group(settings, settings.group_id)
    return identity


class _Processor:
    def __init__(self, settings: ProcessorSettings, identity: LogIdentity, health: Health, plug: Plug | None) -> None:
        self._settings = settings
        self._partitions = identity.partitions
        self._health = health
        self._plug = plug
        self._rejections = Rejections(settings)
        store = Store(settings, settings.rules)
        self._applier = Applier(store, identity.partitions, settings.rules, plug, self._rejections.note)
        self._batcher = Batcher(settings.topics.commands, self._applier, self._rewind, health)
        self._app = faust_app(settings, self._batcher, self._assigned, health)
        self._refused: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fenced = asyncio.Event()
        coordinator.use(self._fenced.set)
        health.problem("group", "not a member of the consumer group yet")

    async def run(self, stop: asyncio.Future[None]) -> None:
        """Run all parts until `stop`, then finish the batch in hand; a part that fails takes the others with it."""
        stop.add_done_callback(lambda _: self._batcher.stop())
        watchdog = Watchdog(self._settings, self._app, self._batcher, self._applier.written, self._health)
        try:
            async with asyncio.TaskGroup() as tasks:
                others = [
                    tasks.create_task(self._serve_faust()),
                    tasks.create_task(Relay(self._settings, self._health).run()),
                    tasks.create_task(keep_running("watchdog", watchdog.run, self._health)),
                    tasks.create_task(
                        keep_running("rejections", self._examine_rejections, self._health, is_vital=False)
                    ),
                    *self._expiring(tasks),
                    tasks.create_task(self._wait_refused()),
                    tasks.create_task(self._wait_fenced()),
                ]
                if self._plug:
                    others.append(tasks.create_task(self._watch_policy(self._plug)))
                await self._batcher.run()
                for task in others:
                    task.cancel()
        finally:
            await self._applier.close()

    async def _watch_policy(self, plug: Plug) -> None:
        """Say in /readyz that policy gave no verdict, for as long as that is news."""
        while True:
            if words := plug.trouble():
                self._health.degraded(PLUG, words)
            else:
                self._health.well(PLUG)
            await asyncio.sleep(PLUG_LOOK_SECONDS)

    def _expiring(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        after = self._settings.reserve_expires_after_seconds
        if after is None:
            return []
        expiry = Expiry(self._settings, self._partitions, after, self._health)
        return [tasks.create_task(keep_running(TASK, expiry.run, self._health, is_vital=False))]

    async def _examine_rejections(self) -> None:
        await self._rejections.examine(self._health)

    async def _serve_faust(self) -> None:
        await self._app.start()
        try:
            await self._app.wait_until_stopped()
            raise RuntimeError("Faust stopped by itself") from self._app.crash_reason
        finally:
            await asyncio.wait_for(self._app.stop(), STOP_SECONDS)

    async def _wait_refused(self) -> None:
        await self._refused

    async def _wait_fenced(self) -> None:
        await self._fenced.wait()
        group, instance_id = self._settings.group_id, self._settings.instance_id
        other = await coordinator.who_has(self._settings, group, instance_id)
        raise OperatorError(
            f"another processor has joined the group {group} as {instance_id}: {other}. Give each its own "
            "PROCESSOR_INSTANCE_ID; this one ends, the other goes on"
        )

    async def _positions(self, partitions: AbstractSet[int]) -> Mapping[int, int]:
        """Where to read from, after the checks; a check that fails ends the process."""
        try:
            positions = await when_possible(
                lambda: check_assignment(self._settings, partitions), self._health, "assignment"
            )
        except Exception as error:
            if not self._refused.done():
                self._refused.set_exception(error)
            raise
        _log.info("partitions_assigned", positions=positions)
        return positions

    async def _assigned(self, partitions: AbstractSet[int]) -> Mapping[int, int]:
        positions = await self._positions(partitions)
        self._batcher.forget(partitions)
        return positions

    async def _rewind(self, partition: int) -> None:
        """Nothing for a partition that is another processor's by now."""
        positions = await self._positions({partition}) if partition in self._app.assigned() else {}
        if positions and partition in self._app.assigned():
            await self._app.seek(partition, positions[partition])
        else:
            self._batcher.forget({partition})
