"""For processes that have this folder on PYTHONPATH: breaks one thing of the product, named by BREAK, once in a while.

Python imports a module of this name by itself at start. The product knows nothing of it.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

EVERY = 25
_turns = count(1)


def _is_due() -> bool:
    return next(_turns) % EVERY == 0


def drop_a_record() -> None:
    """The position goes on, and nothing else happens."""
    from processor.domain.batch import Batch  # noqa: PLC0415
    from processor.domain.rows import Watermark  # noqa: PLC0415

    add = Batch.add

    def dropping(self: Batch, each: Any) -> None:
        if _is_due():
            partition, offset = each.record.partition, each.record.offset
            self.watermarks[partition] = Watermark(offset + 1, self.watermarks[partition].hash)
        else:
            add(self, each)

    Batch.add = dropping  # type: ignore[method-assign]


def apply_twice() -> None:
    """A cleared allocation is added to the balance once more than to the ledger.

    Nothing that takes away: below zero the processor would refuse to go on, and there would be nothing to find.
    """
    from processor.domain.account import Book, apply_decision, movement_of  # noqa: PLC0415
    from processor.domain.batch import Batch  # noqa: PLC0415

    move = Batch._move

    def moving_twice(self: Batch, record: Any, event: Any) -> Any:
        fact = move(self, record, event)
        movement = movement_of(event.kind, event.status, int(event.amount.quantity))
        if fact is not None and movement is not None and movement.debit is Book.CUSTODY and _is_due():
            key = fact.connection_id, fact.currency
            once = self.accounts[key]
            self.accounts[key] = apply_decision(once, movement)._replace(sequence=once.sequence)
        return fact

    Batch._move = moving_twice  # type: ignore[method-assign]


def read_stale() -> None:
    """A row is read once, and remembered."""
    from ingress.postgres.rows import Rows  # noqa: PLC0415

    load = Rows._allocations
    remembered: dict[str, Any] = {}

    async def stale(self: Rows, ids: Any) -> list[Any]:
        for each, row in zip(ids, await load(self, ids), strict=True):
            remembered.setdefault(each, row)
        return [remembered[each] for each in ids]

    Rows._allocations = stale  # type: ignore[method-assign]


def skip_an_event() -> None:
    from processor.relay.outbox import Outbox  # noqa: PLC0415

    load = Outbox.load

    async def skipping(self: Outbox, connection: Any) -> Any:
        news = await load(self, connection)
        return replace(news, records=[record for record in news.records if not _is_due()])

    Outbox.load = skipping  # type: ignore[method-assign]


def forget_a_jti() -> None:
    from ingress.auth.token_replay import Claim, TokenReplay  # noqa: PLC0415

    async def claim(_self: TokenReplay, _token: Any, _deadline: float) -> Claim:
        return Claim.FIRST

    TokenReplay.claim = claim  # type: ignore[method-assign]


BREAKS: dict[str, tuple[str, Callable[[], None]]] = {
    "drop a record": ("processor", drop_a_record),
    "apply twice": ("processor", apply_twice),
    "read stale": ("ingress", read_stale),
    "skip an event": ("processor", skip_an_event),
    "forget a jti": ("ingress", forget_a_jti),
}

if os.environ.get("BREAK") in BREAKS:
    verb, breaking = BREAKS[os.environ["BREAK"]]
    if verb in sys.orig_argv:
        breaking()
