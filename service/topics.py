"""Creating the topics with the settings on which correctness rests (decision 8)."""

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from schemas.topics import required_settings
from service.errors import OperatorError
from service.kafka import admin, describe, describe_all
from service.log_checks import check_topics
from service.settings import ServiceSettings


async def ensure_topics(settings: ServiceSettings, partitions: int, replication: int) -> list[str]:
    """Create the topics that are missing and check all of them; returns the names of those that were created.

    Raises OperatorError when one can not be created, or is there and not as it must be.
    """
    topics, required = settings.topics, required_settings(settings.topics)
    min_in_sync = {"min.insync.replicas": "2"} if replication > 2 else {}  # noqa: PLR2004
    async with admin(settings) as client:
        missing = [name for name in required if name not in (await describe(client, required)).topics]
        if missing:
            response = await client.create_topics(
                [
                    NewTopic(name, partitions, replication, topic_configs=required[name] | min_in_sync)
                    for name in missing
                ]
            )
            for name, code, message in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise OperatorError(f"topic {name} can not be created: {message or error.__name__}")
        check_topics(await describe_all(client, required), topics, None)
    return missing
