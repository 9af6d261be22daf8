"""One order's talk with the partner, from the reserve to the end.

Whatever is decided stands in the ledger before it is asked, and is asked again until it is answered. What the partner
answers against the contract is a difference; nothing that it answers stops the conversation from coming to an end.
"""

import asyncio
import random
import time
from dataclasses import replace
from typing import Final

from bitgo.client import Reply
from bitgo.simulator.client_orders import ClientOrder
from bitgo.simulator.editions import Edition, partner_id_of, wrong_fields
from bitgo.simulator.judge import NO_OUTCOME, OUTCOME, STATUSES, Facts, acceptable, is_acceptable, word_of
from bitgo.simulator.order_book import OrderBook, Progress
from bitgo.simulator.scenario import Finish, Scenario
from bitgo.simulator.wire import Manner, Wire, manners
from schemas.words import AfterFinal, Kind, Verb

FIRST_WAIT_SECONDS: Final = 0.05
WAIT_SECONDS_MAX: Final = 5.0
WRONG_SIDE: Final = 500


class Conversation:
    def __init__(self, order: ClientOrder, scenario: Scenario, book: OrderBook, wire: Wire) -> None:
        self.order = order
        self._scenario = scenario
        self._book = book
        self._wire = wire
        progress = book.place(order)
        self._round = progress.round
        self._partner_allocation_id = progress.partner_allocation_id
        self._facts = _facts(progress, scenario.after_final(order.kind))
        self._is_done = progress.step == "done"
        self._is_refused = False
        self._heard = 0
        self._retry_after = 0.0
        self._said: set[str] = set()

    async def begin(self) -> None:
        """Ask for the reservation, unless its outcome is known or it was given up already."""
        if self._is_done or self._facts.outcome is not None or self._facts.asked is not None:
            return
        path = self.order.path if self._round == 0 else "plain"
        if path == "overtaken":
            await self._overtake()
        elif path == "give_up":
            await self._try_once()
        else:
            await self._ask(Verb.RESERVE)

    async def finish(self) -> None:
        """Clear it, release it or leave it open, as ordered; then perhaps ask for it again."""
        if self._facts.outcome is None or self._facts.asked is not None:
            await self._carry_out(Verb.RELEASE)
        elif self._facts.outcome == "reserved":
            end = self._end()
            if end == "open":
                self._book.done(self.order.allocation_id, known=True)
                return
            await asyncio.sleep(self._dice("pause").uniform(0, self._scenario.pause_ms) / 1000)
            await self._carry_out(Verb(end))
        if self.order.again and self._round == 0 and not self._is_refused:
            await self._again()

    async def clear_open(self) -> None:
        """One that was left reserved is cleared after all, as at a settlement."""
        self._is_done = self._facts.outcome != "reserved"
        await self._carry_out(Verb.CLEAR)

    async def _carry_out(self, verb: Verb) -> None:
        """`verb`: what is decided now, when nothing was before."""
        if self._is_done:
            return
        asked = self._facts.asked or self._decide(verb)
        if self._facts.answered is None and not await self._ask(asked):
            self._differs(f"{asked} got no answer within {self._scenario.patience_seconds:.0f} s")
        self._close()

    def _decide(self, verb: Verb) -> Verb:
        assert verb is not Verb.RESERVE  # noqa: S101
        self._book.decide(self.order.allocation_id, verb)
        self._facts = replace(self._facts, asked=verb)
        return verb

    def _close(self) -> None:
        answered = self._facts.answered
        known = None if answered is None else answered != "not_found"
        rejected = "rejected before it was given up" if answered == "rejected" else None
        self._book.done(self.order.allocation_id, known=known, answer=answered or "", rejected=rejected)
        self._is_done = True

    async def _overtake(self) -> None:
        """The release is sent first, or at the same time, and the reserve arrives whenever it does."""
        self._wire.tally.faults["reserve overtaken"] += 1
        self._decide(Verb.RELEASE)
        await asyncio.gather(self._ask(Verb.RELEASE), self._late_reserve())

    async def _late_reserve(self) -> None:
        await asyncio.sleep(self._dice("late").uniform(0, self._scenario.cut_within_ms) / 1000)
        await self._send_one(Verb.RESERVE, Manner(self.order.edition))

    async def _try_once(self) -> None:
        """One reserve, cut off; whatever became of it, BitGo wants it no more."""
        self._wire.tally.faults["given up"] += 1
        cut = self._dice("cut").uniform(0, self._scenario.cut_within_ms) / 1000
        await self._send_one(Verb.RESERVE, Manner(self.order.edition, cut_seconds=cut))
        if self._facts.outcome != "rejected":
            self._decide(Verb.RELEASE)

    async def _again(self) -> None:
        """The later edition's repeat: of a released one it is a re-issue, of any other it changes nothing."""
        self._wire.tally.faults["reserve again"] += 1
        if self._facts.answered == "released" and self._facts.after_final is AfterFinal.REISSUE:
            self._book.reissue(self.order.allocation_id)
            self._round, self._is_done = self._round + 1, False
            self._facts = Facts(self._facts.after_final, is_new=False)
            await self._ask(Verb.RESERVE)
            await self.finish()
        else:
            await self._ask(Verb.RESERVE)

    async def _ask(self, verb: Verb) -> bool:
        """Until an answer says what became of it. False when none did."""
        started, attempt, wait, heard = time.monotonic(), 0, FIRST_WAIT_SECONDS, self._heard
        while time.monotonic() - started < self._scenario.patience_seconds:
            self._retry_after = 0.0
            which = manners(
                self._scenario, self.order, verb, f"{self._round} {attempt}", may_cut=self._may_be_cut(verb)
            )
            self._wire.tally.faults["copies at once"] += len(which) - 1
            self._wire.tally.faults["repeats"] += attempt > 0
            await asyncio.gather(*(self._send_one(verb, manner) for manner in which))
            if self._heard > heard:
                return True
            attempt, wait = attempt + 1, min(wait * 2, WAIT_SECONDS_MAX)
            await asyncio.sleep(max(wait * random.uniform(0.5, 1), self._retry_after))  # noqa: S311
        return False

    def _may_be_cut(self, verb: Verb) -> bool:
        """Not a reserve that re-issues what is released next: if it arrived after the release, it would be in force."""
        return verb is not Verb.RESERVE or self._facts.after_final is AfterFinal.CONFLICT or self._end() != "release"

    async def _send_one(self, verb: Verb, manner: Manner) -> None:
        sent = self._facts
        reply = await self._wire.ask(self.order, verb, manner)
        if reply is None:
            return
        word = word_of(reply.status, reply.body)
        self._wire.tally.answered(f"{verb} {word}", reply.seconds)
        if reply.status in NO_OUTCOME:
            self._retry_after = max(self._retry_after, retry_after_seconds(reply))
            return
        words = acceptable(verb, sent, self._facts)
        if is_acceptable(word, words):
            self._listen(verb, word, manner, reply)
        else:
            self._differs(f"{verb} was answered {reply.status} {word}, due was {' or '.join(sorted(words))}")
            self._is_refused = True
        self._heard += reply.status < WRONG_SIDE

    def _listen(self, verb: Verb, word: str, manner: Manner, reply: Reply) -> None:
        if word in STATUSES:
            self._check_body(verb, word, manner, reply)
            self._partner_allocation_id = self._partner_allocation_id or partner_id_of(self.order.kind, reply.body)
        if verb is not Verb.RESERVE:
            self._facts = replace(self._facts, answered=self._facts.answered or word)
        elif word in OUTCOME and self._facts.outcome is None:
            self._facts = replace(self._facts, outcome=word)  # type: ignore[arg-type]
            if self._facts.asked is None:
                self._note(word, reply)

    def _note(self, word: str, reply: Reply) -> None:
        """The outcome of the reserve; of a deallocation it is known in advance when its account does nothing else."""
        account = self.order.account.connection_id, self.order.currency
        available = self._book.ledger.balance(*account).available
        reason = reply.body.get("rejectionReason")
        if self._scenario.in_turn and self.order.kind is Kind.DEALLOCATION:
            covered = self.order.quantity <= available
            if word == "reserved" and not covered:
                self._differs(f"{self.order.quantity} were held of {available}")
            if word == "rejected" and covered and reason in (None, "insufficient_balance"):
                self._differs(f"{self.order.quantity} of {available} were rejected as {reason}")
        status, partner_id = word, self._partner_allocation_id
        self._book.outcome(self.order.allocation_id, status, reason, partner_id)  # type: ignore[arg-type]
        self._is_done = word == "rejected"

    def _check_body(self, verb: Verb, word: str, manner: Manner, reply: Reply) -> None:
        content = self.order.content(self._partner_allocation_id)
        editions = {manner.edition} if verb is Verb.RESERVE else self._editions()
        wrong = min((wrong_fields(content, each, reply.body) for each in editions), key=len)
        if word == "rejected" and not reply.body.get("rejectionReason"):
            wrong.append("rejectionReason")
        if wrong:
            self._differs(f"{verb} was answered with wrong {', '.join(wrong)}")

    def _editions(self) -> set[Edition]:
        """In one of these the partner knows it: when repeats change the edition, it is not known which came first."""
        return set(self._scenario.editions) if self._scenario.edition_changes else {self.order.edition}

    def _end(self) -> Finish:
        return self.order.finish if self._round == 0 else self.order.finish_again

    def _dice(self, what: str) -> random.Random:
        return random.Random(f"{self.order.allocation_id} {self._round} {what}")  # noqa: S311

    def _differs(self, what: str) -> None:
        text = f"{self.order.kind} {self.order.allocation_id}: {what}"
        if text not in self._said:
            self._said.add(text)
            self._book.differs(text, self.order.allocation_id)
            self._wire.tally.differs(text)


def _facts(progress: Progress, after_final: AfterFinal) -> Facts:
    """What the ledger knows after a restart; whether a released one had been reserved is not in it."""
    status = progress.status
    facts = Facts(after_final, is_new=progress.round == 0)
    if status == "rejected":
        return replace(facts, outcome="rejected")
    if status in ("reserved", "cleared"):
        facts = replace(facts, outcome="reserved")
    if status not in ("cleared", "released"):
        return facts
    facts = replace(facts, asked=Verb.CLEAR if status == "cleared" else Verb.RELEASE)
    if progress.step != "done" or progress.known is None:
        return facts
    return replace(facts, answered="not_found" if not progress.known else status)


def retry_after_seconds(reply: Reply) -> float:
    """What the partner asks for, within reason."""
    text = reply.headers.get("Retry-After", "")
    return min(float(text), WAIT_SECONDS_MAX) if text.isascii() and text.isdigit() else 0.0
