"""What is answered about connections, their tokens, and adjustments (contract, sections 6, 8 and 9)."""

from typing import Annotated, Any, Literal

from pydantic import Field

from schemas.answers import Answer
from schemas.words import ConnectionStatus


class ConnectionAnswer(Answer):
    """`status` is absent in the answer to BitGo's activation."""

    client_id: str
    connection_id: str
    partners_client_id: str
    partners_connection_id: str
    status: ConnectionStatus | None = None


class ConnectionTokenIssued(Answer):
    """The only time that the token is shown."""

    connection_token: str
    token_hash: str
    partners_connection_id: str
    partners_client_id: str
    expires_at: str


class ConnectionTokenListed(Answer):
    """`connectionId`: the connection that it activated."""

    token_hash: str
    partners_connection_id: str
    partners_client_id: str
    issued_by: str
    issued_at: str
    expires_at: str
    revoked_at: str | None = None
    connection_id: str | None = None


class ConnectionTokenList(Answer):
    connection_tokens: list[ConnectionTokenListed]


class EntryAnswer(Answer):
    currency: str
    quantity: Annotated[str, Field(description="signed base units, plain digits")]


class AdjustmentAnswer(Answer):
    """Entries are in the order of their currencies."""

    adjustment_id: str
    connection_id: str
    reason: str
    entries: list[EntryAnswer]
    status: Literal["booked"]


class AdjustmentBatchAnswer(Answer):
    """One result for each element, in order: `adjustmentId` and `status: "booked"`, or a problem document with them."""

    results: list[dict[str, Any]]
