"""aiokafka's connections as our processes need them.

Each reads the files that the settings name (`service/kafka_files.py`). Making one takes five seconds at most, because
aiokafka makes one at a time: a broker that accepts connections and says nothing would keep it from all others.

Why a connection failed is said where the work fails: aiokafka itself says "Unable to bootstrap" and writes the reason
into its log. What it does not expect is said in its own words, because its fetchers, senders and group coordinators end
silently on anything else. So does a write to a reset connection, for which uvloop raises RuntimeError where aiokafka
expects OSError: a processor made no progress until the watchdog restarted it, 30 s later.

`tests/processor/test_transport.py` fails when an upgrade changes what this leans on.
"""

import asyncio
import ssl
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import client, conn
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError, UnsupportedSaslMechanismError

from service.errors import UnavailableError
from service.kafka_files import PasswordFile, TlsFiles

CONNECT_SECONDS: Final = 5.0

Broker = tuple[str, int]
_failures: Final[dict[Broker, str]] = {}
"""Why the last connection to a broker could not be made; of the brokers that there are, so some tens at most."""
_bootstrap: Final = client.AIOKafkaClient.bootstrap
_send: Final = client.AIOKafkaClient.send


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
    def __init__(
        self, host: str, port: int, *, ssl_context: Any = None, sasl_plain_password: Any = None, **options: Any
    ) -> None:
        """Raises KafkaConnectionError when the settings' files can not be used."""
        try:
            context = ssl_context.load() if isinstance(ssl_context, TlsFiles) else ssl_context
            password = (
                sasl_plain_password.read() if isinstance(sasl_plain_password, PasswordFile) else sasl_plain_password
            )
        except UnavailableError as error:
            _failures[host, port] = str(error)
            raise KafkaConnectionError(str(error)) from error
        super().__init__(host, port, ssl_context=context, sasl_plain_password=password, **options)

    async def connect(self) -> Any:
        where = self.host, self.port
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connected = await super().connect()
        except Exception as error:
            _failures[where] = words = _why(error)
            if isinstance(error, OSError | KafkaError):
                raise
            raise KafkaConnectionError(words) from error
        _failures.pop(where, None)
        return connected

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - as aiokafka has it
        try:
            return super().send(request, expect_response)
        except RuntimeError as error:
            raise self._broken(error) from error

    def _send_sasl_token(self, payload: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002
        try:
            return super()._send_sasl_token(payload, expect_response)
        except RuntimeError as error:
            raise self._broken(error) from error

    def _broken(self, error: RuntimeError) -> KafkaConnectionError:
        self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
        return KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}")


def use() -> None:
    """Install for every aiokafka client of this process."""
    conn.AIOKafkaConnection = Connection
    client.AIOKafkaClient.bootstrap = _bootstrap_or_say_why
    client.AIOKafkaClient.send = _send_or_say_why


async def _bootstrap_or_say_why(self: client.AIOKafkaClient) -> None:
    try:
        await _bootstrap(self)
    except KafkaConnectionError as error:
        reasons = reasons_of((host, port) for host, port, _ in self.hosts)
        raise KafkaConnectionError(f"no broker can be used: {reasons}") from error


async def _send_or_say_why(self: client.AIOKafkaClient, node_id: Any, request: Any, **options: Any) -> Any:
    try:
        return await _send(self, node_id, request, **options)
    except NodeNotReadyError as error:
        broker = self.cluster.broker_metadata(node_id)
        if broker is None or (broker.host, broker.port) not in _failures:
            raise
        reasons = reasons_of([(broker.host, broker.port)])
        raise NodeNotReadyError(f"broker {node_id} can not be used: {reasons}") from error


def reasons_of(brokers: Iterable[Broker]) -> str:
    """Why these brokers could not be used, in one line."""
    return "; ".join(
        f"{host}:{port}: {_failures.get((host, port), 'no answer')}" for host, port in sorted(set(brokers))
    )


def _why(error: BaseException) -> str:
    """In one sentence, with what is most likely wrong with the settings. Never with what was sent."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    if isinstance(error, UnsupportedSaslMechanismError):
        return "it does not offer KAFKA_SASL_MECHANISM, or this user may not use it"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message or error.reason}"
    if isinstance(error, ssl.SSLError):
        return f"TLS fails ({error.reason}): does it speak TLS there? KAFKA_SECURITY_PROTOCOL says so"
    if isinstance(error, KafkaConnectionError) and error.__cause__ is not None:
        return _why_closed(error.__cause__)
    return f"{type(error).__name__}: {str(error).strip()}"


def _why_closed(cause: BaseException) -> str:
    if isinstance(cause, ssl.SSLError):
        return (
            f"it closed the connection: {cause.reason}. Does it accept the certificate of KAFKA_SSL_CERTIFICATE_FILE?"
        )
    return (
        "it closed the connection at once: it may speak TLS or ask for SASL there, and KAFKA_SECURITY_PROTOCOL says "
        "otherwise, or ask for a certificate (KAFKA_SSL_CERTIFICATE_FILE)"
    )
