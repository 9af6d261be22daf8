"""The identity of the log, after checking that cluster, topics and tables belong together."""

from service.errors import OperatorError
from service.kafka import admin, describe_all
from service.log_checks import LogIdentity, check_topics, load_identity
from service.migrations import check_migrations
from service.postgres import connect
from service.settings import ServiceSettings


async def known_log(settings: ServiceSettings, name: str) -> LogIdentity:
    """Raises OperatorError when they do not belong together, or no processor has ever started."""
    topics = settings.topics
    async with await connect(settings, name) as connection, admin(settings) as client:
        await check_migrations(connection, exactly=True)
        identity = await load_identity(connection)
        if identity is None:
            raise OperatorError(
                "the database is the state of no log yet: either no processor has ever started on it, or it must be "
                "rebuilt first (`allocations rebuild`)"
            )
        check_topics(
            await describe_all(client, (topics.commands, topics.events, topics.dead_letters)), topics, identity
        )
    return identity
