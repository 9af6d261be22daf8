"""aiokafka under uvloop: a write to a reset connection raises what aiokafka expects.

uvloop raises RuntimeError where aiokafka expects OSError, and aiokafka's fetchers, senders and group coordinators end
silently on anything else: a processor made no progress until the watchdog restarted it, 30 s later.

`tests/processor/test_transport.py` fails when an upgrade changes what this leans on.
"""

from typing import Any

from aiokafka import conn
from aiokafka.errors import KafkaConnectionError


class Connection(conn.AIOKafkaConnection):  # type: ignore[misc]
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
