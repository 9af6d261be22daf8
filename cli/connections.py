"""What verbs that talk to Kafka and Postgres have in common: settings, options, instants, and what to say of errors."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import psycopg
from aiokafka.errors import KafkaError
from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic_settings import SettingsConfigDict

from schemas.fields import NonEmptyText
from service.errors import EXIT_OPERATOR, OperatorError, UnavailableError
from service.settings import ServiceSettings

INTERRUPTED: Final = 130

_TEXT: Final[TypeAdapter[str]] = TypeAdapter(NonEmptyText)
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class OperatorSettings(ServiceSettings):
    """The common settings, from the processor's environment variables."""

    model_config = SettingsConfigDict(env_prefix="PROCESSOR_")
    postgres_url: SecretStr = SecretStr("")


class Instant(click.ParamType):
    """An instant in ISO 8601, in UTC unless it names a zone, or how long ago: 90s, 15m, 2h, 3d."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := re.fullmatch(r"([0-9]{1,6})([smhd])", value):
            try:
                return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            except OverflowError:
                self.fail(f"{value} ago there was no calendar", param, ctx)
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value} is neither an instant like 2026-11-21T15:00:00Z nor an age like 15m", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class Text(click.ParamType):
    """1 to 256 characters, no control characters."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return _TEXT.validate_python(value)
        except ValidationError:
            self.fail("must be 1 to 256 characters, none of them a control character", param, ctx)


PARTITION: Final = click.IntRange(0, 2**31 - 1)
OFFSET: Final = click.IntRange(0, 2**63 - 1)


def kafka_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """--kafka and --prefix; everything else about Kafka comes from the environment."""
    prefix = click.option("--prefix", envvar="PROCESSOR_TOPIC_PREFIX", help="put before every topic's name")
    kafka = click.option("--kafka", envvar="PROCESSOR_KAFKA_BOOTSTRAP_SERVERS", help="host:port of a broker")
    return kafka(prefix(command))


def postgres_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--postgres", envvar="PROCESSOR_POSTGRES_URL", required=True, help="postgresql://… of the database"
    )(command)


def settings_of(*, kafka: str | None = None, prefix: str | None = None, postgres: str | None = None) -> ServiceSettings:
    """The settings of the environment, with what was given on the command line instead. Raises UsageError."""
    given = {
        "kafka_bootstrap_servers": kafka,
        "topic_prefix": prefix,
        "postgres_url": postgres,
    }
    try:
        return OperatorSettings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise click.UsageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def is_url(text: str) -> bool:
    """Whether a server can be there: http or https, a host, and a port that is one, if any."""
    try:
        where = urlsplit(text)
        return where.scheme in ("http", "https") and bool(where.hostname) and where.port != 0
    except ValueError:
        return False


def is_there(file: Path) -> bool:
    """Raises BadParameter for a path that can not be looked at."""
    try:
        return file.exists()
    except OSError as error:
        raise click.BadParameter(f"{file}: {error.strerror}") from None


@contextmanager
def errors_said() -> Iterator[None]:
    """Errors that have a sentence end the command with it: status 78 when only an operator can help, 1 otherwise."""
    try:
        yield
    except OperatorError as error:
        click.echo(str(error), err=True)
        sys.exit(EXIT_OPERATOR)
    except BrokenPipeError:
        raise  # whoever read our output has enough: click ends the process
    except (KafkaError, ConnectionError, TimeoutError, psycopg.OperationalError, UnavailableError) as error:
        click.echo(f"no answer: {str(error).strip() or type(error).__name__}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
