"""New ids for old ones, so that one capture can be replayed many times. Pure.

An id becomes the UUID version 5 of itself under a namespace that is made from the seed: the same seed returns the same
ids, another seed others, and one id is one id wherever it stands.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from replay.captured import CapturedHeaders
from schemas.commands import ActivateConnection, AdjustBalance, AllocationCommand, Command, ConnectionCommand, Reserve

REMEMBERED_IDS: Final = 100_000
SEED_NAMESPACE: Final = uuid5(NAMESPACE_URL, "allocations:replay")

_IDS: Final = ("command_id", "allocation_id", "adjustment_id", "connection_id")
_TEXTS: Final = (
    "partner_allocation_id",
    "partner_client_id",
    "client_external_id",
    "initiated_by",
    "notes",
    "evaluation_id",
    "pending_approval_id",
    "reason",
    "client_wallet_id",
    "asked_by",
)
"""Fields in which somebody may have repeated one of the ids that are rewritten."""


class Rewriter:
    """Maps allocation, adjustment and command ids.

    Unless connections are kept, their ids too, the platform's accounts that they are on, and the hashes of the tokens
    with which they were activated: so each load connects accounts of its own.
    """

    def __init__(self, seed: str, *, keep_connections: bool = False) -> None:
        self._namespace = uuid5(SEED_NAMESPACE, seed)
        self.keeps_connections = keep_connections
        self.map = lru_cache(REMEMBERED_IDS)(self._map)

    def _map(self, old: str) -> str:
        return str(uuid5(self._namespace, old))

    def new_ids(self, command: Command) -> Mapping[str, str]:
        """The command's own ids that change, old to new, in lower case as models have them."""
        old = {command.command_id}
        if isinstance(command, AllocationCommand | AdjustBalance):
            old.add(command.subject_id)
        if isinstance(command, Reserve | AdjustBalance | ConnectionCommand) and not self.keeps_connections:
            old.add(command.connection_id)
        return {each: self.map(each) for each in old}

    def command(self, command: Command) -> Command:
        ids = self.new_ids(command)
        names = {*_IDS, *_TEXTS} & type(command).model_fields.keys()
        changed = {name: _replaced(getattr(command, name), ids) for name in names}
        return command.model_copy(update=changed | ({} if self.keeps_connections else self._of_connections(command)))

    def _of_connections(self, command: Command) -> dict[str, Any]:
        """What changes along with connection ids."""
        if isinstance(command, Reserve):
            return {"partners_connection_id": self._account(command.partners_connection_id)}
        if not isinstance(command, ActivateConnection):
            return {}
        issued = command.issued
        if issued is not None:
            account = self._account(issued.partners_connection_id)
            issued = issued.model_copy(update={"partners_connection_id": account})
        token_hash = hashlib.sha256(self._namespace.bytes + command.token_hash.encode()).hexdigest()
        return {"token_hash": token_hash, "issued": issued}

    def _account(self, old: str) -> str:
        """An account of the platform: its id may be any text."""
        return self.map(f"account of the platform: {old}")

    def headers(self, command: Command, headers: CapturedHeaders) -> CapturedHeaders:
        """The headers of a record whose command was `command`, with its ids replaced wherever they occur."""
        ids = {old.encode(): new.encode() for old, new in self.new_ids(command).items()}
        return tuple((name, _replaced_bytes(value, ids)) for name, value in headers)


def _replaced(value: Any, ids: Mapping[str, str]) -> Any:
    return ids.get(value.lower(), value) if isinstance(value, str) else value


def _replaced_bytes(value: bytes | None, ids: Mapping[bytes, bytes]) -> bytes | None:
    """New ids are never replaced again: an old one is 36 characters, and they differ."""
    if value is None:
        return None
    for old, new in ids.items():
        value = value.replace(old, new)
    return value
