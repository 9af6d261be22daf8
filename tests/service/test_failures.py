"""Every SQLSTATE class and every aiokafka error: whether it is waited for (decision 14, record 0019)."""

from collections.abc import Iterator

import psycopg
import pytest
from aiokafka import errors as kafka
from psycopg import errors as postgres

from processor.postgres.tables import OutdatedError
from service.errors import OperatorError, StalledError, UnavailableError
from service.failures import is_passing, is_postgres_passing

PASSING_STATES = {
    *("08000", "08003", "08006", "08001", "08004", "08007", "08P01"),
    *("25006", "25P03", "25P04"),
    *("28000", "28P01"),
    "3D000",
    *("40000", "40001", "40002", "40003", "40P01"),
    "42501",
    *("53000", "53100", "53200", "53300", "53400"),
    *("55006", "55P03"),
    *("57000", "57014", "57P01", "57P02", "57P03", "57P04", "57P05"),
    *("58000", "58030", "58P01", "58P02", "58P03"),
    "72000",
    *("F0000", "F0001"),
}
LASTING_KAFKA = {
    *("IllegalArgumentError", "IllegalStateError", "IncompatibleBrokerVersion"),
    *("InvalidConfigurationError", "InvalidRequestError", "InvalidRequiredAcksError", "InvalidSessionTimeoutError"),
    *("InvalidTopicError", "InvalidTransactionTimeout", "KafkaConfigurationError", "KafkaProtocolError"),
    *("CorrelationIdError", "MessageSizeTooLargeError", "OffsetMetadataTooLargeError", "RecordListTooLargeError"),
    *("RecordTooLargeError", "UnrecognizedBrokerVersion", "UnsupportedCodecError", "UnsupportedForMessageFormatError"),
    "UnsupportedVersionError",
}


def sqlstates() -> list[str]:
    """Every SQLSTATE that psycopg knows, which is every one that Postgres documents."""
    found = {each.sqlstate for each in vars(postgres).values() if isinstance(each, type) and _has_state(each)}
    return sorted(found)


def _has_state(each: type) -> bool:
    return issubclass(each, psycopg.Error) and bool(getattr(each, "sqlstate", None))


def kafka_errors(root: type[BaseException] = kafka.KafkaError) -> Iterator[type[BaseException]]:
    yield root
    for each in root.__subclasses__():
        yield from kafka_errors(each)


@pytest.mark.parametrize("sqlstate", sqlstates())
def test_every_sqlstate_is_waited_for_or_not(sqlstate: str) -> None:
    error = postgres.lookup(sqlstate)("said by the server")
    assert (sqlstate in PASSING_STATES) == is_passing(error) == is_postgres_passing(error)


def test_every_class_of_sqlstates_is_in_the_table() -> None:
    """A class that Postgres adds is looked at before it is waited for."""
    classes = {state[:2] for state in sqlstates()}
    assert {"08", "25", "28", "3D", "40", "42", "53", "55", "57", "58", "F0"} <= classes
    assert 200 < len(sqlstates())


@pytest.mark.parametrize("error", sorted(set(kafka_errors()), key=lambda each: each.__name__))
def test_every_error_of_aiokafka_is_waited_for_or_not(error: type[BaseException]) -> None:
    assert (error.__name__ not in LASTING_KAFKA) == is_passing(error.__new__(error))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (UnavailableError("away"), True),
        (psycopg.OperationalError("the connection is closed"), True),
        (psycopg.InterfaceError("the cursor is closed"), False),
        (psycopg.DataError("no such text"), False),
        (OperatorError("set the topic up"), False),
        (StalledError("no progress"), False),
        (OutdatedError("another worker"), False),
        (ValueError("ours"), False),
        (KeyError(7), False),
    ],
)
def test_what_has_no_sqlstate_is_waited_for_when_it_is_a_connection_s(
    error: Exception,
    expected: object,
) -> None:
    assert expected is is_passing(error)
