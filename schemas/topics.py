"""Which topics there are, what must hold for them, and which partition a key belongs to (decisions 7 and 8)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

DEFAULT_PARTITIONS: Final = 8
REMEMBERED_KEYS: Final = 10_000


@dataclass(frozen=True)
class Topics:
    """The names of the three topics. A prefix keeps several systems apart on one cluster."""

    prefix: str = ""

    @property
    def commands(self) -> str:
        return f"{self.prefix}allocation-commands"

    @property
    def events(self) -> str:
        return f"{self.prefix}allocation-events"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}allocation-dead-letters"


LOG_SETTINGS: Final[dict[str, str]] = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "unclean.leader.election.enable": "false",
}
"""The log is the truth: nothing of it may be deleted, compacted, or lost by an election."""

COMMANDS_SETTINGS: Final[dict[str, str]] = LOG_SETTINGS | {"message.timestamp.type": "LogAppendTime"}
"""The machine's clock is the time at which the broker appended a command."""


def required_settings(topics: Topics) -> dict[str, dict[str, str]]:
    """The topic settings on which correctness rests, by topic."""
    return {topics.commands: COMMANDS_SETTINGS, topics.events: LOG_SETTINGS, topics.dead_letters: LOG_SETTINGS}


@lru_cache(maxsize=REMEMBERED_KEYS)
def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key, for ever: murmur2 modulo the number of partitions stored at first start."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """The 32-bit hash that Kafka's Java client partitions by, as an unsigned integer.

    Ours, because the partition of a key is part of this project's format: no library update may move it.
    """
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        block = int.from_bytes(data[start : start + 4], "little") * multiplier & mask
        block = (block ^ block >> 24) * multiplier & mask
        value = (value * multiplier & mask) ^ block
    if rest := data[whole:]:
        value = (value ^ int.from_bytes(rest, "little")) * multiplier & mask
    value = (value ^ value >> 13) * multiplier & mask
    return value ^ value >> 15
