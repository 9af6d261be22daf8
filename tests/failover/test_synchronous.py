"""The primary dies under load and its synchronous standby takes over: silence for seconds, and nothing else."""

import time
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from local.kafka import Kafka
from tests.failover.conftest import system_on, verified
from tests.failover.pair import Pair
from tests.support.system import System
from tests.support.traffic import Traffic, entered

BACK_SECONDS = 15.0
"""Far above what was measured (see docs/failover.md), so that a busy machine fails no test."""


@pytest.mark.parametrize("way", ["proxy", "several hosts"])
async def test_given_a_synchronous_standby_then_a_failover_loses_nothing_and_does_nothing_twice(
    kafka: Kafka, both: Pair, tmp_path: Path, way: str
) -> None:
    await both.wait_for_the_standby()
    url = both.url if way == "proxy" else both.url_of_both
    async with system_on(kafka, url, tmp_path / "system") as system, AsyncExitStack() as stack:
        await system.processor()
        traffic = Traffic(await entered(stack, await system.ingress()))
        killed_at = 0.0

        async def fail_over() -> None:
            nonlocal killed_at
            killed_at = time.monotonic()
            await both.fail_over()

        await traffic.during(fail_over, before=3, after=8)
        for name in system.health:
            await system.ready(name)
        system.database_url = both.standby.url
        await system.caught_up()
        traffic.check(system)
        check_events(system, await events(system))
        await verified(system)
        assert not system.ended
        silence = traffic.longest_silence(killed_at)
        print(f"{way}: {len(traffic.answers)} answers, longest silence {silence:.2f} s, {dict(traffic.codes)}")
        assert silence < BACK_SECONDS


async def events(system: System) -> Counter[str]:
    """How often each event stands in the topic, by the position of its command."""
    count = system.rows("SELECT count(*) FROM journal WHERE event IS NOT NULL")[0]["count"]
    return Counter(dict(each.headers)["ce_id"].decode() for each in await system.records(system.topics.events, count))


def check_events(system: System, found: Counter[str]) -> None:
    journaled = system.rows('SELECT partition, "offset" FROM journal WHERE event IS NOT NULL')
    assert Counter(f"{system.topics.commands}/{row['partition']}/{row['offset']}" for row in journaled) == found
