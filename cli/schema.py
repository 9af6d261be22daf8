"""`allocations migrate` and `allocations topics`: what must be there before the first process starts."""

import asyncio
from collections.abc import Sequence

import click

from cli.connections import errors_said, kafka_options, postgres_option, settings_of
from schemas.topics import DEFAULT_PARTITIONS


@click.command()
@postgres_option
@click.option("--grant-processor", "processors", metavar="ROLE", multiple=True, help="a role of processors; repeatable")
@click.option("--grant-ingress", "ingresses", metavar="ROLE", multiple=True, help="a role of ingresses; repeatable")
def migrate(postgres: str, processors: Sequence[str], ingresses: Sequence[str]) -> None:
    """Apply the migrations that the database lacks, under a lock. Safe to run at any time, by several at once.

    It is run by the role that owns the tables. Processors and ingresses may have roles of their own, which exist
    already, and get exactly the rights that they need.
    """
    from service.grants import grant  # noqa: PLC0415
    from service.migrations import migrate as apply  # noqa: PLC0415
    from service.pooling import check_sessions  # noqa: PLC0415

    with errors_said():
        settings = settings_of(postgres=postgres)
        asyncio.run(check_sessions(settings))
        applied = apply(settings.postgres_address)
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply: the database is up to date")
        for role in processors:
            grant(settings.postgres_address, "processor", role)
            click.echo(f"granted to {role}: the rights of a processor")
        for role in ingresses:
            grant(settings.postgres_address, "ingress", role)
            click.echo(f"granted to {role}: the rights of an ingress")


@click.command()
@kafka_options
@click.option("--partitions", default=DEFAULT_PARTITIONS, show_default=True, type=click.IntRange(1, 1000))
@click.option("--replication", default=3, show_default=True, type=click.IntRange(1, 10), help="copies of each record")
def topics(kafka: str | None, prefix: str | None, partitions: int, replication: int) -> None:
    """Create the topics that are missing, with the settings that correctness needs, and check those that exist.

    The number of partitions is for ever. Other connection settings are read from PROCESSOR_KAFKA_….
    """
    from service.topics import ensure_topics  # noqa: PLC0415

    with errors_said():
        created = asyncio.run(ensure_topics(settings_of(kafka=kafka, prefix=prefix), partitions, replication))
        click.echo(
            "\n".join(f"created {name}" for name in created) or "nothing to create: the topics are as they must be"
        )
