"""One call to the partner: in any edition, cut off, in copies, with the next key (contract, sections 2 and 4)."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bitgo.client import BitGo, Reply
from bitgo.simulator.client_orders import ClientOrder
from bitgo.simulator.editions import Edition, request_body
from bitgo.simulator.scenario import Scenario
from bitgo.simulator.tally import Tally
from schemas.words import Verb

JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Manner:
    """How one copy of a call is sent."""

    edition: Edition
    cut_seconds: float | None = None
    upper_case: bool = False
    plural: bool = False


def manners(scenario: Scenario, order: ClientOrder, verb: Verb, try_: str, *, may_cut: bool) -> list[Manner]:
    """One for each copy, and the same ones whenever this try of this order is made."""
    dice = random.Random(f"{order.allocation_id} {verb} {try_}")  # noqa: S311 - reproducible, not secret
    copies = dice.randint(2, scenario.copies_most) if dice.random() < scenario.copies else 1
    return [_manner(scenario, order, dice, may_cut=may_cut) for _ in range(copies)]


def _manner(scenario: Scenario, order: ClientOrder, dice: random.Random, *, may_cut: bool) -> Manner:
    changed = dice.random() < scenario.edition_changes
    edition = dice.choice(scenario.editions)
    is_cut, cut_seconds = dice.random() < scenario.lost_answers, dice.uniform(0, scenario.cut_within_ms) / 1000
    return Manner(
        edition if changed else order.edition,
        cut_seconds if is_cut and may_cut else None,
        upper_case=dice.random() < scenario.upper_case,
        plural=dice.random() < scenario.plural_paths,
    )


class Wire:
    """Counts the calls, and signs each with the key whose turn it is."""

    def __init__(
        self, partner: BitGo, keys: Sequence[RSAPrivateKey], tally: Tally, rotate_every: int | None = None
    ) -> None:
        self.partner = partner
        self.tally = tally
        self._keys = keys
        self._turn = 0
        self._rotate_every = rotate_every

    def rotate(self) -> None:
        """The next key from the next call on."""
        self._turn = (self._turn + 1) % len(self._keys)
        self.partner.key = self._keys[self._turn]
        self.tally.faults["key rotated"] += 1

    async def ask(self, order: ClientOrder, verb: Verb, manner: Manner) -> Reply | None:
        """None when no answer came, or was waited for."""
        shown = order.allocation_id.upper() if manner.upper_case else order.allocation_id
        base = self.partner.base_path
        if verb is Verb.RESERVE:
            body = request_body(order.content(), manner.edition, upper_case=manner.upper_case)
            return await self._call(verb, manner, "POST", f"{base}/{order.kind}s", data=body)
        noun = f"{order.kind}s" if manner.plural else str(order.kind)
        return await self._call(verb, manner, "PUT", f"{base}/{noun}/{shown}/{verb}")

    async def _call(self, verb: Verb, manner: Manner, method: str, path: str, **options: Any) -> Reply | None:
        self.tally.calls += 1
        if self._rotate_every and self.tally.calls % self._rotate_every == 0:
            self.rotate()
        headers = self.partner.headers() | (JSON if "data" in options else {})
        try:
            async with asyncio.timeout(manner.cut_seconds):
                return await self.partner.call(method, path, headers, **options)
        except TimeoutError:
            self.tally.faults[f"{verb} timed out" if manner.cut_seconds is None else f"{verb} cut off"] += 1
        except (aiohttp.ClientError, OSError) as error:
            self.tally.faults[type(error).__name__] += 1
        return None
