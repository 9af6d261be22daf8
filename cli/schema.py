"""`allocations migrate` and `allocations topics`: what must be there before the first process starts."""

import asyncio

import click

from cli.connections import errors_said, kafka_options, postgres_option, settings_of
from schemas.topics import DEFAULT_PARTITIONS


@click.command()
@postgres_option
def migrate(postgres: str) -> None:
    """Apply the migrations that the database lacks, under a lock. Safe to run at any time, by several at once."""
    from service.migrations import migrate as apply  # noqa: PLC0415
    from service.pooling import check_sessions  # noqa: PLC0415

    with errors_said():
        settings = settings_of(postgres=postgres)
        asyncio.run(check_sessions(settings))
        applied = apply(settings.postgres_address)
        click.echo("\n".join(f"applied {name}" for name in applied) or "nothing to apply: the database is up to date")


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
