"""Where a verb's Kafka and Postgres are: options, or the environment."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import click
import psycopg
from aiokafka.errors import KafkaError
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR, OperatorError, UnavailableError

INTERRUPTED: Final = 130


class ProofSettings(ProcessorSettings):
    """A processor's settings, without those that only a running one needs."""

    model_config = SettingsConfigDict(env_prefix="PROCESSOR_", frozen=True)
    instance_id: str = "proof"
    postgres_url: SecretStr = SecretStr("")


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("--topic-prefix", help="put before every topic's name  [default: PROCESSOR_TOPIC_PREFIX]"),
        click.option("--postgres", metavar="URL", help="a database, postgresql://…  [default: PROCESSOR_POSTGRES_URL]"),
        click.option("--kafka", metavar="HOST:PORT", help="a broker  [default: PROCESSOR_KAFKA_BOOTSTRAP_SERVERS]"),
    ):
        command = option(command)
    return command


def with_servers(given: Mapping[str, Any], work: Callable[[ProofSettings], Awaitable[int]]) -> None:
    """Run to the end of the process; what kept it from working is a sentence and status 78."""
    try:
        status = asyncio.run(_on_settings(given, work))
    except KeyboardInterrupt:
        status = INTERRUPTED
    except OperatorError as error:
        click.echo(str(error), err=True)
        status = EXIT_OPERATOR
    except (KafkaError, UnavailableError, OSError, psycopg.OperationalError) as error:
        click.echo(f"no answer: {str(error).strip() or type(error).__name__}", err=True)
        status = EXIT_OPERATOR
    sys.exit(status)


async def _on_settings(given: Mapping[str, Any], work: Callable[[ProofSettings], Awaitable[int]]) -> int:
    settings = _settings(given["kafka"], given["postgres"], given["topic_prefix"])
    if not settings.postgres_url.get_secret_value():
        raise click.UsageError("which database? Name it with --postgres or PROCESSOR_POSTGRES_URL")
    return await work(settings)


def _settings(kafka: str | None, postgres: str | None, topic_prefix: str | None) -> ProofSettings:
    """What is given, the rest from the environment. Raises UsageError."""
    given = {"kafka_bootstrap_servers": kafka, "postgres_url": postgres, "topic_prefix": topic_prefix}
    try:
        return ProofSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
