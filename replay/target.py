"""The cluster that a capture is loaded into: found, checked, and refused where loading would do harm."""

from replay.capture_file import Source
from replay.load import Target
from replay.rewrite import Rewriter
from schemas.topics import Topics
from service.errors import OperatorError
from service.kafka import admin, describe_all
from service.log_checks import check_topics, load_identity
from service.pooling import check_sessions
from service.postgres import connect
from service.settings import ServiceSettings


async def find_target(settings: ServiceSettings) -> Target:
    """Raises OperatorError when the topics are not there or not as they must be."""
    topics: Topics = settings.topics
    async with admin(settings) as client:
        cluster = await describe_all(client, (topics.commands, topics.events, topics.dead_letters))
    return Target(cluster.cluster_id, topics.commands, check_topics(cluster, topics, None))


def check_not_its_own(source: Source, target: Target, rewriter: Rewriter | None) -> None:
    """A capture goes back to where it came from under new ids only, and to new accounts."""
    if (source.cluster_id, source.topic) != (target.cluster_id, target.topic):
        return
    if rewriter is None:
        raise OperatorError(
            f"the capture came from this very topic ({target.topic} of cluster {target.cluster_id}): its commands "
            "would be given a second time. Load it with --rewrite-ids SEED, or into another cluster"
        )
    if rewriter.keeps_connections:
        raise OperatorError(
            "the capture came from this very topic: with --keep-connections it would move the same accounts a second "
            "time. Leave that out, or load it into another cluster"
        )


async def check_same_log(settings: ServiceSettings, target: Target) -> None:
    """The database whose outcomes are to be counted is the state of the target."""
    await check_sessions(settings)
    async with await connect(settings, "allocations-load") as connection:
        identity = await load_identity(connection)
    if identity is None or (identity.cluster_id, identity.commands_topic) != (target.cluster_id, target.topic):
        found = f"of {identity.commands_topic} on cluster {identity.cluster_id}" if identity else "of no log yet"
        raise OperatorError(
            f"the database is the state {found}, and the target is {target.topic} on cluster {target.cluster_id}: "
            "name the target's database, and let its processors start once"
        )
