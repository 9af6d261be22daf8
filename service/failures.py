"""The kinds of failure and what follows from each, for both processes (decision 14, record 0019).

passing   caused by the environment: servers unavailable, busy or read-only, a missing right. The same work is retried
          with backoff and reported in /readyz; no restart is needed.
parked    a record that is not a command: `schemas.records.ParkedError`. It becomes a dead letter.
halting   anything else between a record and its row: skipping it would break an invariant. Its partition halts and is
          retried (`processor/kafka/halts.py`); the others continue.
"""

from typing import Final

import psycopg
from aiokafka import errors as kafka

from service.errors import UnavailableError

_PASSING_CLASSES: Final = (
    "08",  # connection
    "28",  # authorization: a password or pg_hba.conf that somebody changes back
    "3D",  # no such database: it is being restored
    "40",  # serialization, deadlock
    "53",  # no memory, no disk, no connection
    "57",  # cancelled, shut down, starting, recovering
    "58",  # input and output
    "72",  # snapshot too old
    "F0",  # configuration file
)
_PASSING_STATES: Final = frozenset(
    {
        "25006",  # read-only: a failover, a full managed disk, a standby
        "25P03",  # idle in a transaction for too long
        "25P04",  # a transaction took too long
        "42501",  # no right: grants are being changed
        "55006",  # in use
        "55P03",  # a lock was not to be had in time
    }
)

_LASTING_KAFKA: Final = (
    kafka.IllegalArgumentError,
    kafka.IllegalStateError,
    kafka.IncompatibleBrokerVersion,
    kafka.InvalidConfigurationError,
    kafka.InvalidRequestError,
    kafka.InvalidRequiredAcksError,
    kafka.InvalidSessionTimeoutError,
    kafka.InvalidTopicError,
    kafka.InvalidTransactionTimeout,
    kafka.KafkaConfigurationError,
    kafka.KafkaProtocolError,
    kafka.MessageSizeTooLargeError,
    kafka.OffsetMetadataTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.RecordTooLargeError,
    kafka.UnrecognizedBrokerVersion,
    kafka.UnsupportedCodecError,
    kafka.UnsupportedForMessageFormatError,
    kafka.UnsupportedVersionError,
)
"""Errors of a request, a setting or a version: a retry gets the same answer."""


def is_passing(error: BaseException) -> bool:
    """Whether Kafka or Postgres is unavailable or refuses for now, so that a retry may succeed."""
    if isinstance(error, kafka.KafkaError):
        return not isinstance(error, _LASTING_KAFKA)
    return isinstance(error, UnavailableError | TimeoutError) or is_postgres_passing(error)


def is_postgres_passing(error: BaseException) -> bool:
    """Whether Postgres is unavailable, busy or refuses for now, so that a retry may succeed."""
    if isinstance(error, OSError):
        return True
    if not isinstance(error, psycopg.Error):
        return False
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate.startswith(_PASSING_CLASSES) or error.sqlstate in _PASSING_STATES
