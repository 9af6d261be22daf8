"""The metrics of a processor, and its log line per batch."""

from collections import Counter as Tally
from datetime import UTC, datetime
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from processor.domain.batch import Batch
from schemas.words import ParkReason, Refusal, Rejection
from service.logs import logger

COMMANDS: Final = Counter(
    "processor_commands", "Records of the commands topic by what became of them", ["kind", "verb", "outcome", "reason"]
)
CLEARS_OF_REJECTED: Final = Counter(
    "processor_clears_of_rejected", "Clears of a rejected id: BitGo took a rejection for a reservation"
)
BATCH_RECORDS: Final = Histogram(
    "processor_batch_records", "Records in a batch", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500)
)
BATCH_SECONDS: Final = Histogram(
    "processor_batch_seconds",
    "A batch, from the first statement to the commit",
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
)
DELAY_SECONDS: Final = Histogram(
    "processor_delay_seconds",
    "From a record's append to its commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30),
)
OUTDATED: Final = Counter(
    "processor_batches_outdated", "Batches decided again: another worker had written one of their rows"
)
POLICY_SECONDS: Final = Histogram(
    "processor_policy_seconds",
    "A question to the platform's own policy",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1),
)
POLICY_VERDICTS: Final = Counter("processor_policy_verdicts", "What the platform's own policy said", ["verdict"])
POLICY_FAILURES: Final = Counter(
    "processor_policy_failures", "Why the platform's own policy gave no verdict", ["reason"]
)
RETRIES: Final = Counter(
    "processor_batch_retries", "Batches tried again: Postgres was away or busy, or policy is waited for"
)
HALTED: Final = Gauge("processor_partition_halted", "1 while a partition stands still; /readyz says why", ["partition"])
LAG: Final = Gauge("processor_lag_records", "Records of the partition that are not applied yet", ["partition"])
COUNTED_DEAD_LETTERS: Final = 1_000
DEAD_LETTERS: Final = Gauge(
    "processor_dead_letters_open",
    f"Dead letters that nobody retried or discarded; {COUNTED_DEAD_LETTERS}: or more. The same in every processor",
)
EVENTS: Final = Counter("processor_relay_records", "Records that the relay published", ["topic"])
RELAYING: Final = Gauge("processor_relay_active", "1 in the one process whose relay publishes")

OUR_WORDS: Final = frozenset({*Refusal, *Rejection, *ParkReason})
PLUGS: Final = "of_the_platform"
"""The label of a reason that is a word of the platform's own policy, which may have any number of them."""

_log: Final = logger("processor")


def label_of(reason: str | None) -> str:
    return PLUGS if reason and reason not in OUR_WORDS else reason or ""


def observe(batch: Batch, seconds: float) -> None:
    """Count a committed batch and log it."""
    if not batch.journal:
        return
    now = datetime.now(UTC)
    BATCH_RECORDS.observe(len(batch.journal))
    BATCH_SECONDS.observe(seconds)
    became = Tally((row.kind or "", row.verb or "", row.outcome, label_of(row.reason)) for row, _ in batch.journal)
    for labels, count in became.items():
        COMMANDS.labels(*labels).inc(count)
    for row, _ in batch.journal:
        DELAY_SECONDS.observe(max(0.0, (now - row.recorded_at).total_seconds()))
        if row.reason == Refusal.ALREADY_REJECTED:
            CLEARS_OF_REJECTED.inc()
    _log.info(
        "batch_applied",
        records=len(batch.journal),
        outcomes=Tally(row.outcome.value for row, _ in batch.journal),
        next_offsets={partition: mark.next_offset for partition, mark in batch.watermarks.items()},
        duration_ms=round(seconds * 1000, 2),
    )
