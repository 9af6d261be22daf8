"""aiokafka's connections as our processes need them.

Each reads the files that the settings name (`service/kafka_files.py`). A broker that accepts connections and requests
and says nothing, because it is suspended or out of reach, is given up after some seconds: aiokafka makes one connection
at a time, and would wait for each answer for ten seconds, or forty in a processor, while another broker leads long
since. For some seconds after that it is asked last, and not at all where others can be asked. What is asked again is
the same: commands are published by idempotent producers.

Why a connection failed is said where the work fails: aiokafka itself says "Unable to bootstrap" and writes the reason
into its log. What it does not expect is said in its own words, because its fetchers, senders and group coordinators end
silently on anything else. So does a write to a reset connection, for which uvloop raises RuntimeError where aiokafka
expects OSError: a processor made no progress until the watchdog restarted it, 30 s later.

`tests/processor/test_transport.py` fails when an upgrade changes what this leans on.
"""

import asyncio
import ssl
import time
from collections.abc import Iterable
from typing import Any, Final

from aiokafka import client, conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest

from service.errors import UnavailableError
from service.kafka_files import TOKEN_SECONDS, PasswordFile, TlsFiles

CONNECT_SECONDS: Final = 4.0
SILENT_SECONDS: Final = 4.0
"""Without a byte while an answer is due."""
REST_SECONDS: Final = 5.0
"""For which a broker that said nothing is passed over."""
LOOK_SECONDS: Final = 1.0
FOR_MEMBERS: Final = frozenset({JoinGroupRequest.API_KEY, SyncGroupRequest.API_KEY})
"""Answered when all members of the group have come."""
FOR_REPLICAS: Final = frozenset(
    {
        ProduceRequest.API_KEY,
        OffsetCommitRequest.API_KEY,
        InitProducerIdRequest.API_KEY,
        AddPartitionsToTxnRequest.API_KEY,
        EndTxnRequest.API_KEY,
    }
)
"""Answered when the replicas have it, and one may be missing: only a broker that does not answer others is given up."""

CLOSED: Final = (
    "it closed the connection at once: KAFKA_SECURITY_PROTOCOL may say SSL where it speaks plain text, or the reverse; "
    "or it asks for a certificate (KAFKA_SSL_CERTIFICATE_FILE)"
)
NO_ANSWER: Final = (
    "it accepts connections and answers no request: does it ask for SASL there, where KAFKA_SECURITY_PROTOCOL does not "
    "say so?"
)

Broker = tuple[str, int]
_failures: Final[dict[Broker, str]] = {}
"""Why the last connection to a broker could not be made; of the brokers that there are, so some tens at most."""
_silent_at: Final[dict[Broker, float]] = {}
"""When a broker was given up."""
_get_conn: Final = client.AIOKafkaClient._get_conn  # noqa: SLF001
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
        self._is_made = False
        self._look: asyncio.TimerHandle | None = None
        self._progress: tuple[Any, ...] = ()
        self._progress_at = 0.0

    async def connect(self) -> Any:
        where = self.host, self.port
        seconds = CONNECT_SECONDS + (TOKEN_SECONDS if self._sasl_oauth_token_provider else 0)
        try:
            async with asyncio.timeout(seconds):
                connected = await super().connect()
        except TimeoutError:
            _failures[where] = f"no answer within {seconds:.0f} s"
            _silent_at[where] = time.monotonic()
            raise
        except Exception as error:
            _failures[where] = words = _why(error)
            if isinstance(error, OSError | KafkaError):
                raise
            raise KafkaConnectionError(words) from error
        self._is_made = True
        _failures.pop(where, None)
        return connected

    def send(self, request: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002 - as aiokafka has it
        try:
            answer = super().send(request, expect_response)
        except RuntimeError as error:
            raise self._broken(error) from error
        if self._is_made and self._look is None:
            self._watch()
        return answer

    def _watch(self) -> None:
        """Look once a second, as long as answers are due, whether anything comes."""
        if self._reader is None or not self._requests:
            self._look, self._progress = None, ()
            return
        now, oldest = self._loop.time(), self._requests[0]
        progress = (oldest[0], len(self._reader._buffer))  # noqa: SLF001 - of a large answer a part has come
        due = {request.API_KEY for _, request, _ in self._requests if request is not None}
        if progress != self._progress or due & FOR_MEMBERS:
            self._progress, self._progress_at = progress, now
        elif now - self._progress_at >= SILENT_SECONDS and (
            not due & FOR_REPLICAS or _is_silent((self.host, self.port))
        ):
            self._look = None
            _silent_at[self.host, self.port] = time.monotonic()
            self.close(reason=conn.CloseReason.CONNECTION_TIMEOUT)
            return
        self._look = self._loop.call_later(LOOK_SECONDS, self._watch)

    def _send_sasl_token(self, payload: Any, expect_response: bool = True) -> Any:  # noqa: FBT001, FBT002
        try:
            return super()._send_sasl_token(payload, expect_response)
        except RuntimeError as error:
            raise self._broken(error) from error

    def authenticator_oauth(self) -> "_OAuth":
        return _OAuth(sasl_oauth_token_provider=self._sasl_oauth_token_provider)

    def _broken(self, error: RuntimeError) -> KafkaConnectionError:
        self.close(reason=conn.CloseReason.CONNECTION_BROKEN)
        return KafkaConnectionError(f"Connection at {self.host}:{self.port} broken: {error}")


class _OAuth(conn.OAuthAuthenticator):  # type: ignore[misc]
    """A broker that does not accept the token says so in its answer, which aiokafka does not read (RFC 7628, 3.2.2)."""

    async def step(self, payload: bytes | None) -> Any:
        if payload:
            raise SaslAuthenticationFailed("the broker does not accept the token")
        return await super().step(payload)


def use() -> None:
    """Install for every aiokafka client of this process."""
    conn.AIOKafkaConnection = Connection
    client.AIOKafkaClient.bootstrap = _bootstrap_or_say_why
    client.AIOKafkaClient.send = _send_or_say_why
    client.AIOKafkaClient._get_conn = _get_conn_unless_silent  # noqa: SLF001
    client.AIOKafkaClient.hosts = property(_hosts)


def _hosts(self: client.AIOKafkaClient) -> list[tuple[str, int, Any]]:
    """Where to bootstrap from, the silent ones last."""
    found: list[tuple[str, int, Any]] = conn.collect_hosts(self._bootstrap_servers)
    return sorted(found, key=lambda host: _is_silent((host[0], host[1])))


async def _get_conn_unless_silent(self: client.AIOKafkaClient, node_id: Any, **options: Any) -> Any:
    """None for a broker that was silent a moment ago, as for one that can not be reached, if others can be."""
    broker = self.cluster.broker_metadata(node_id)
    if broker is not None and _is_silent((broker.host, broker.port)):
        others = ((each.host, each.port) for each in self.cluster.brokers())
        if any(each not in _failures and not _is_silent(each) for each in others):
            self.force_metadata_update()
            return None
    return await _get_conn(self, node_id, **options)


def _is_silent(broker: Broker) -> bool:
    return time.monotonic() - _silent_at.get(broker, -REST_SECONDS) < REST_SECONDS


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
    found = {f"{host}:{port}": _failures.get((host, port), NO_ANSWER) for host, port in sorted(set(brokers))}
    return "; ".join(f"{broker}: {why}" for broker, why in found.items())


def _why(error: Exception) -> str:
    """In one sentence, with what is most likely wrong with the settings. Never with what was sent."""
    if isinstance(error, ssl.SSLError):
        return _why_no_tls(error)
    cause = error.__cause__ if isinstance(error, KafkaConnectionError) else error
    if isinstance(cause, ssl.SSLError):
        return f"it closed the connection ({cause.reason}): does it accept the certificate KAFKA_SSL_CERTIFICATE_FILE?"
    if isinstance(cause, ConnectionResetError | EOFError):
        return CLOSED
    if isinstance(error, UnsupportedSaslMechanismError | IllegalSaslStateError):
        return "it does not offer KAFKA_SASL_MECHANISM there"
    return str(error).strip() if isinstance(error, KafkaError) else f"{type(error).__name__}: {str(error).strip()}"


def _why_no_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message or error.reason}"
    return f"TLS fails ({error.reason}): does it speak TLS there? KAFKA_SECURITY_PROTOCOL says so"
