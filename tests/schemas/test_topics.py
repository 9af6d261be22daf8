"""The partition of a key is for ever: our hash is Kafka's, and these values never change."""

import pytest
from aiokafka.partitioner import murmur2 as librarys
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import Topics, murmur2, partition_of, required_settings


@given(st.binary(max_size=64))
def test_our_hash_is_the_clients(key: bytes) -> None:
    assert librarys(key) & 0xFFFFFFFF == murmur2(key)


@pytest.mark.parametrize(
    ("key", "partition"),
    [
        (b"0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22", 4),
        (b"00000000-0000-0000-0000-000000000000", 5),
        (b"ffffffff-ffff-ffff-ffff-ffffffffffff", 2),
    ],
)
def test_partitions_of_known_keys(key: bytes, partition: int) -> None:
    assert partition == partition_of(key, 8)


def test_the_commands_topic_has_the_brokers_clock() -> None:
    topics = Topics("x.")
    settings = required_settings(topics)
    assert {"x.allocation-commands", "x.allocation-events", "x.allocation-dead-letters"} == settings.keys()
    assert settings[topics.commands]["message.timestamp.type"] == "LogAppendTime"
