"""The clock of this machine against those of Postgres and of the brokers: deadlines and tokens depend on them."""

import time
from typing import Final

from aiokafka import TopicPartition

from cli.doctor.finding import Finding, fail, ok, warn
from service.kafka import admin, commands_reader, describe
from service.postgres import connect
from service.settings import ServiceSettings
from service.sql import statements

TOLERANCE_SECONDS: Final = 5.0
"""As in `ingress/kafka/publisher.py`."""
WARN_SECONDS: Final = 1.0

_SQL: Final = statements("cli.doctor")


async def check_postgres(settings: ServiceSettings) -> list[Finding]:
    async with await connect(settings, "allocations-checks") as connection:
        before = time.time()
        row = await (await connection.execute(_SQL["clock"])).fetchone()
        after = time.time()
    theirs = float(row[0]) if row else 0.0
    seconds = max(before - theirs, theirs - after, 0.0)
    check, remedy = "postgres clock", "synchronise this machine's clock and the server's"
    if seconds > TOLERANCE_SECONDS:
        return [fail(check, f"differs by {seconds:.1f} s", remedy)]
    if seconds > WARN_SECONDS:
        return [warn(check, f"differs by {seconds:.1f} s", remedy)]
    return [ok(check, f"differs by less than {WARN_SECONDS:.0f} s")]


async def check_kafka(settings: ServiceSettings) -> list[Finding]:
    """A broker tells its clock with what is written only. One that runs ahead shows in records from the future."""
    check = "broker's clock"
    topic = settings.topics.commands
    async with admin(settings) as client:
        facts = (await describe(client, (topic,))).topics.get(topic)
    if facts is None:
        return [warn(check, f"not looked at: there is no {topic}", "`allocations topics`")]
    later = int((time.time() + TOLERANCE_SECONDS) * 1000)
    async with commands_reader(settings) as consumer:
        where = {TopicPartition(topic, partition): later for partition in range(facts.partitions)}
        found = await consumer.offsets_for_times(where)
    if late := [each.partition for each, offset in found.items() if offset is not None]:
        return [
            fail(
                check,
                f"partitions {sorted(late)} have records from over {TOLERANCE_SECONDS:.0f} s in this machine's future",
                "synchronise this machine's clock and the brokers'",
            )
        ]
    return [ok(check, "no record is from the future; an ingress compares it at every write (/readyz, `clock`)")]
