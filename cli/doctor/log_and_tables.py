"""Whether this database is the state of this log: what processes check at their start. Claims nothing."""

from contextlib import AsyncExitStack
from typing import Final

from cli.doctor.finding import Finding, ok, warn
from schemas.topics import required_settings
from service.kafka import admin, consuming, describe
from service.log_checks import check_identity, check_positions, check_unclaimed, load_identity
from service.postgres import connect
from service.settings import ServiceSettings

CHECK: Final = "log and tables"


async def check(settings: ServiceSettings) -> list[Finding]:
    """Raises OperatorError for what does not belong together."""
    topics = settings.topics
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(await connect(settings, "allocations-checks"))
        client = await stack.enter_async_context(admin(settings))
        consumers = await stack.enter_async_context(consuming(settings))
        cluster = await describe(client, required_settings(topics))
        if missing := sorted(required_settings(topics).keys() - cluster.topics.keys()):
            return [warn(CHECK, f"not compared: there is no {missing[0]}", "`allocations topics`")]
        identity = await load_identity(connection)
        if identity is None:
            await check_unclaimed(consumers, topics, cluster.topics[topics.commands].partitions)
            return [ok(CHECK, "both are empty: the first processor makes this database the state of this log")]
        check_identity(cluster, topics, identity)
        positions = await check_positions(settings, connection, consumers, range(identity.partitions))
    return [ok(CHECK, f"belong together: {identity.partitions} partitions, {sum(positions.values())} records applied")]
