"""`allocations ingress` and `allocations processor`: one process each, for containers and supervisors."""

import sys
from collections.abc import Iterator
from typing import TypeVar

import click
from pydantic import ValidationError

from service.errors import EXIT_OPERATOR
from service.settings import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)


def read_settings(settings: type[S]) -> S:
    """The settings from the environment; a wrong or missing one ends the command with a sentence and status 78."""
    try:
        return settings()
    except ValidationError as error:
        for fault in faults_of(settings, error):
            click.echo(fault, err=True)
        sys.exit(EXIT_OPERATOR)


def faults_of(settings: type[ServiceSettings], error: ValidationError) -> Iterator[str]:
    """A sentence for each wrong or missing variable, which never shows what was given."""
    prefix = settings.model_config["env_prefix"]
    for each in error.errors(include_url=False, include_input=False):
        name = prefix + "__".join(str(part) for part in each["loc"]).upper() if each["loc"] else "settings"
        yield f"{name}: {each['msg'].removeprefix('Value error, ')}"


@click.command()
def ingress() -> None:
    """Run one ingress process. Its settings are environment variables INGRESS_…; `allocations settings` lists them.

    SIGTERM or Ctrl-C stops it: it stops accepting, finishes what is in flight, and leaves. Exit status 78 means that an
    operator must act; the last line of the log says what to do.
    """
    from ingress.app import run  # noqa: PLC0415
    from ingress.settings import IngressSettings  # noqa: PLC0415
    from service.process import run_process  # noqa: PLC0415

    settings = read_settings(IngressSettings)
    sys.exit(run_process(settings, settings.name, run(settings)))


@click.command()
def processor() -> None:
    """Run one processor. Its settings are environment variables PROCESSOR_…; `allocations settings` lists them.

    SIGTERM or Ctrl-C stops it after the batch in hand. Exit status 78 means that an operator must act; the last line of
    the log says what to do.
    """
    from processor.app import run  # noqa: PLC0415
    from processor.settings import ProcessorSettings  # noqa: PLC0415
    from service.process import run_process  # noqa: PLC0415

    settings = read_settings(ProcessorSettings)
    sys.exit(run_process(settings, settings.instance_id, run(settings)))
