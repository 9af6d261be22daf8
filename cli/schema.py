"""`allocations migrate` and `allocations topics`: what must be there before the first process starts."""

import asyncio
import sys
from collections.abc import Callable

import click
import psycopg
from aiokafka.errors import KafkaError
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from schemas.topics import DEFAULT_PARTITIONS
from service.errors import EXIT_OPERATOR, OperatorError
from service.settings import ServiceSettings


class SchemaSettings(ServiceSettings):
    """The common settings, from the processor's environment variables."""

    model_config = SettingsConfigDict(env_prefix="PROCESSOR_")
    postgres_url: SecretStr = SecretStr("")


def _say_errors(work: Callable[[], None]) -> None:
    try:
        work()
    except OperatorError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_OPERATOR)
    except (KafkaError, OSError, psycopg.OperationalError) as error:
        click.echo(f"no answer: {str(error).strip()}", err=True)
        sys.exit(1)


@click.command()
@click.option(
    "--postgres", "url", envvar="PROCESSOR_POSTGRES_URL", required=True, help="postgresql://… of the database"
)
def migrate(url: str) -> None:
    """Apply the migrations that the database lacks, under a lock. Safe to run at any time, by several at once."""
    from service.migrations import migrate as apply  # noqa: PLC0415

    def work() -> None:
        applied = apply(url)
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply: the database is up to date")

    _say_errors(work)


@click.command()
@click.option("--kafka", envvar="PROCESSOR_KAFKA_BOOTSTRAP_SERVERS", help="host:port of a broker")
@click.option("--prefix", envvar="PROCESSOR_TOPIC_PREFIX", help="put before every topic's name")
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True, type=click.IntRange(1, 1000))
@click.option("--replication", default=3, show_default=True, type=click.IntRange(1, 10), help="copies of each record")
def topics(kafka: str | None, prefix: str | None, partitions: int, replication: int) -> None:
    """Create the topics that are missing, with the settings that correctness needs, and check those that exist.

    The number of partitions is for ever. Other connection settings are read from PROCESSOR_KAFKA_….
    """
    from service.topics import ensure_topics  # noqa: PLC0415

    given = {"kafka_bootstrap_servers": kafka, "topic_prefix": prefix}
    settings = SchemaSettings().model_copy(update={name: value for name, value in given.items() if value is not None})

    def work() -> None:
        created = asyncio.run(ensure_topics(settings, partitions, replication))
        click.echo(
            "\n".join(f"created {name}" for name in created) or "nothing to create: the topics are as they must be"
        )

    _say_errors(work)
