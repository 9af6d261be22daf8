"""Whether the brokers answer, how many there are, how old they are, and when their certificates end."""

import asyncio
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from aiokafka.conn import create_conn, get_ip_port_afi
from aiokafka.errors import KafkaError

from cli.doctor.finding import Finding, fail, ok, warn
from service.kafka import admin
from service.settings import ServiceSettings

CHECK: Final = "kafka"
CONNECT_SECONDS: Final = 3.0
BROKERS: Final = 3
HEARTBEAT, HEARTBEAT_NEEDED = 12, 3
"""A heartbeat that names its instance (KIP-345)."""
CONSUMER_GROUP_HEARTBEAT, IN_RELEASE_4 = 68, 1
SOON: Final = timedelta(days=30)


async def check(settings: ServiceSettings) -> list[Finding]:
    answers = [await _address(settings, each) for each in settings.kafka_bootstrap_servers.split(",")]
    versions = next((each.versions for each in answers if each.versions), None)
    if versions is None:
        return [fail(CHECK, each.refused, "correct the address, or what is wrong there") for each in answers]
    found = [warn(CHECK, each.refused, "correct it, or take it out") for each in answers if each.refused]
    found += [_certificate(each.address, each.ends) for each in answers if each.ends]
    async with admin(settings) as client:
        cluster = await client.describe_cluster()
    found.append(ok(CHECK, f"cluster {cluster['cluster_id']} answers"))
    if len(cluster["brokers"]) < BROKERS:
        words = f"there are {len(cluster['brokers'])} brokers, and not {BROKERS}"
        found.append(warn(CHECK, words, "three, so that one may be lost without a loss"))
    return [*found, *_age(versions)]


@dataclass(frozen=True)
class _Answer:
    """`versions` are of the requests that a broker knows, by their numbers; without them, `refused` says why."""

    address: str
    versions: Mapping[int, tuple[int, int]] | None = None
    ends: datetime | None = None
    refused: str = ""


async def _address(settings: ServiceSettings, address: str) -> _Answer:
    """Each address by itself: a client is content with one that answers, and does not say what failed."""
    options = {name: value for name, value in settings.kafka_options().items() if name != "bootstrap_servers"}
    host, port, _ = get_ip_port_afi(address)
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await create_conn(host, port, client_id="allocations-checks", **options)
    except (KafkaError, OSError, TimeoutError) as error:
        words = " ".join(str(error).split()) or f"no answer within {CONNECT_SECONDS:.0f} s"
        return _Answer(address, refused=f"{address} of …_KAFKA_BOOTSTRAP_SERVERS: {words}")
    shown = connection._writer.get_extra_info("peercert")  # noqa: SLF001 - aiokafka shows neither
    versions = dict(connection._versions)  # noqa: SLF001
    connection.close()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC) if shown else None
    return _Answer(address, versions, ends)


def _certificate(address: str, ends: datetime) -> Finding:
    words = f"the certificate of {address} ends on {ends:%Y-%m-%d %H:%M} UTC"
    if ends < datetime.now(UTC) + SOON:
        return warn(CHECK, words, "replace it on the broker before that")
    return ok(CHECK, words)


def _age(versions: Mapping[int, tuple[int, int]]) -> Iterator[Finding]:
    if versions.get(HEARTBEAT, (0, 0))[1] < HEARTBEAT_NEEDED:
        yield fail(CHECK, "the brokers are older than Kafka 2.3", "4.0 or later: instance ids would not be minded")
    elif versions.get(CONSUMER_GROUP_HEARTBEAT, (0, 0))[1] < IN_RELEASE_4:
        yield warn(CHECK, "the brokers are older than Kafka 4.0", "nothing here was ever run on them: 4.0 or later")
    else:
        yield ok(CHECK, "the brokers are of Kafka 4.0 or later")
