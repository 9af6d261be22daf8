"""Where a verb's Kafka and Postgres are: options, the environment, or the data folder of `allocations up`."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import click
import psycopg
from aiokafka.errors import KafkaError
from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR, OperatorError, UnavailableError
from service.pooling import check_sessions

INTERRUPTED: Final = 130
LEAVE_SECONDS: Final = 30.0


class ProofSettings(ProcessorSettings):
    """A processor's settings, without those that only a running one needs."""

    model_config = SettingsConfigDict(env_prefix="PROCESSOR_", frozen=True)
    instance_id: str = "proof"
    postgres_url: SecretStr = SecretStr("")


_POSTGRES: Final = click.option(
    "--postgres", metavar="URL", help="a database, postgresql://…  [default: PROCESSOR_POSTGRES_URL]"
)
_DATA: Final = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="instead: the servers of `allocations up` in this data folder; if it does not run, they are started",
)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data, or --kafka, --postgres and --topic-prefix."""
    prefix = click.option("--topic-prefix", help="put before every topic's name  [default: PROCESSOR_TOPIC_PREFIX]")
    kafka = click.option("--kafka", metavar="HOST:PORT", help="a broker  [default: PROCESSOR_KAFKA_BOOTSTRAP_SERVERS]")
    return _DATA(kafka(_POSTGRES(prefix(command))))


def database_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--data, or --postgres: for what reads the tables alone."""
    return _DATA(_POSTGRES(command))


def with_servers(
    given: Mapping[str, Any], work: Callable[[ProofSettings], Awaitable[int]], *, migrated: bool = False
) -> NoReturn:
    """Run to the end of the process; what kept it from working is a sentence and status 78.

    With `migrated`, the database of a data folder is migrated first.
    """
    if given["data"] and any(given.get(name) for name in ("kafka", "postgres", "topic_prefix")):
        raise click.UsageError("--data knows the servers and the prefix: leave the other options out")
    try:
        status = asyncio.run(
            _interruptible(_on_folder(given["data"], work, migrated) if given["data"] else _on_settings(given, work))
        )
    except OperatorError as error:
        click.echo(str(error), err=True)
        status = EXIT_OPERATOR
    except BrokenPipeError:
        raise  # whoever read our output has enough: click ends the process
    except psycopg.errors.InsufficientPrivilege as error:
        click.echo(f"{str(error).strip()}: another role may (docs/operations.md, roles in Postgres)", err=True)
        status = EXIT_OPERATOR
    except (KafkaError, UnavailableError, OSError, psycopg.OperationalError) as error:
        click.echo(f"no answer: {str(error).strip() or type(error).__name__}", err=True)
        status = EXIT_OPERATOR
    sys.exit(status)


async def _interruptible(work: Coroutine[Any, Any, int]) -> int:
    """Ctrl-C and SIGTERM end the work in order; a second one, or half a minute, without: nothing is lost by that."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(work)

    def interrupt() -> None:
        if task.cancelling():
            os._exit(INTERRUPTED)
        task.cancel()
        logging.disable(logging.WARNING)
        last_resort = threading.Timer(LEAVE_SECONDS, os._exit, [INTERRUPTED])
        last_resort.daemon = True
        last_resort.start()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        return INTERRUPTED


async def _on_settings(given: Mapping[str, Any], work: Callable[[ProofSettings], Awaitable[int]]) -> int:
    settings = _settings(given.get("kafka"), given["postgres"], given.get("topic_prefix"))
    if not settings.postgres_url.get_secret_value():
        raise click.UsageError("which database? Name it with --postgres or PROCESSOR_POSTGRES_URL, or use --data")
    await check_sessions(settings)
    return await work(settings)


async def _on_folder(data: Path, work: Callable[[ProofSettings], Awaitable[int]], migrated: bool) -> int:  # noqa: FBT001
    from local.report import LocalError, reporter  # noqa: PLC0415 - needs the extra `local`
    from local.servers import servers_of  # noqa: PLC0415
    from service.migrations import migrate  # noqa: PLC0415

    try:
        async with servers_of(data, reporter()) as servers:
            if migrated:
                await asyncio.to_thread(migrate, servers.postgres)
            return await work(
                _settings(servers.kafka, servers.postgres, servers.topic_prefix, connections=servers.connections)
            )
    except LocalError as error:
        raise OperatorError(str(error)) from error


def _settings(
    kafka: str | None, postgres: str | None, topic_prefix: str | None, connections: str | None = None
) -> ProofSettings:
    """What is given, the rest from the environment. Raises UsageError."""
    given = {
        "kafka_bootstrap_servers": kafka,
        "postgres_url": postgres,
        "topic_prefix": topic_prefix,
        "connections": connections,
    }
    try:
        return ProofSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
