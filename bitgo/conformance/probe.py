"""What a check holds in its hands: fresh ids, signed requests, and a record of all that was said."""

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.expect import Expected
from bitgo.conformance.terms import Account, Terms
from bitgo.conformance.tokens import WRONG, signed
from bitgo.conformance.wire import Answer, NoAnswerError, Request, Wire
from schemas.words import AfterFinal, Kind, Status, Verb

JSON: Final = {"Content-Type": "application/json"}
_RAW: Final = re.compile(r'"\\u001e(.*?)\\u001e"')


class MismatchError(Exception):
    """The partner did something else than was expected; the words say what."""


class SkippedError(Exception):
    """The check does not apply under these terms; the words say why."""


@dataclass
class Step:
    request: Request
    expected: str
    answer: Answer | None = None
    miss: str | None = None


@dataclass(frozen=True)
class Token:
    """`text` is sent; `words` are what the shell needs to make one like it."""

    text: str
    words: str


def raw(text: str) -> str:
    """A number exactly as it is written here, for a place in a body."""
    return f"\x1e{text}\x1e"


def is_raw(text: str) -> bool:
    return text.startswith("\x1e")


def encoded(document: Any) -> bytes:
    return _RAW.sub(r"\1", json.dumps(document)).encode()


@dataclass
class Probe:
    terms: Terms
    wire: Wire
    steps: list[Step] = field(default_factory=list)

    # What is sent

    def token(self, **changes: Any) -> Token:
        """A good one. `words` of a token that is sent again name a shell variable."""
        return Token(signed(self.terms.key, **changes), '$(allocations token --key "$KEY")')

    def repeated_token(self, **changes: Any) -> Token:
        """One to send several times: the shell makes it where it is first used."""
        once = self.token(**changes)
        return Token(once.text, f"${{token_{uuid.uuid4().hex[:6]}:={once.words}}}")

    def wrong_token(self, name: str) -> Token:
        make = WRONG[name][1]
        return Token(make(self.terms.key), f'$(allocations token --key "$KEY" --wrong {name})')

    def account(self) -> Account:
        """One that holds nothing, unless the partner knows one only."""
        given = self.terms.account
        return given or Account(str(uuid.uuid4()), str(uuid.uuid4()), f"account-{uuid.uuid4().hex[:8]}", "client-1")

    def body(self, kind: Kind, quantity: int | None = None, **fields: Any) -> dict[str, Any]:
        """A reserve of a new id on an account of its own, in the edition's spelling; None leaves a field out."""
        account = self.account()
        later = self.terms.edition == "later"
        amount = self.terms.amount.quantity if quantity is None else quantity
        document: dict[str, Any] = {
            f"{kind}Id": str(uuid.uuid4()),
            "amount": {"currency": self.terms.amount.currency, "quantity": str(amount) if later else amount},
            "clientId": account.client_id,
            "connectionId": account.connection_id,
            "partnersConnectionId": account.partners_connection_id,
            "partnersClientId" if later else "partnerClientId": account.partner_client_id,
        }
        if kind is Kind.ALLOCATION:
            document["partnersAllocationId" if later else "partnerAllocationId"] = str(uuid.uuid4())
        return {name: value for name, value in (document | fields).items() if value is not None}

    def quantity(self, value: int) -> int | str:
        """A quantity in the edition's form."""
        return str(value) if self.terms.edition == "later" else value

    def path(self, kind: Kind, verb: Verb, of_id: str = "") -> str:
        base = f"{self.terms.url}{self.terms.base_path}"
        return f"{base}/{kind}s" if verb is Verb.RESERVE else f"{base}/{kind}/{of_id}/{verb}"

    def network_path(self, of_id: str | None = None, enterprise: str | None = None) -> str:
        where = (
            f"{self.terms.url}/api/network/v1/enterprises/{enterprise or self.terms.enterprise_id}/partners/allocations"
        )
        return where if of_id is None else f"{where}/{of_id}"

    def only_if_issued_again(self, kind: Kind) -> None:
        """Raises SkippedError where a reserve of a finished id is a conflict."""
        if self.terms.after_final(kind) is not AfterFinal.REISSUE:
            raise SkippedError(f"a released {kind} is not issued again under --{kind}s-after-final conflict")

    # What is asked

    async def send(
        self,
        method: str,
        url: str,
        expected: Expected,
        *,
        token: Token | None = None,
        signed_by_bitgo: bool = True,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        body_words: str | None = None,
    ) -> Answer:
        """One request. Raises MismatchError when the answer is not what is expected, or when there is none."""
        sent = token or (self.token() if signed_by_bitgo else None)
        request = Request(
            method, url, headers or {}, body, body_words, sent.text if sent else None, sent.words if sent else None
        )
        step = Step(request, expected.words)
        self.steps.append(step)
        try:
            step.answer = await self.wire.send(request)
        except NoAnswerError as error:
            step.miss = str(error)
            raise MismatchError(step.miss) from None
        step.miss = expected.miss(step.answer)
        if step.miss:
            raise MismatchError(f"expected {step.expected}; {step.miss}")
        return step.answer

    async def reserve(self, kind: Kind, body: Mapping[str, Any], expected: Expected, **options: Any) -> Answer:
        return await self.send(
            "POST", self.path(kind, Verb.RESERVE), expected, headers=JSON, body=encoded(body), **options
        )

    async def finish(self, kind: Kind, verb: Verb, of_id: str, expected: Expected, **options: Any) -> Answer:
        return await self.send("PUT", self.path(kind, verb, of_id), expected, **options)

    async def ask(self, kind: Kind, verb: Verb, body: Mapping[str, Any], expected: Expected) -> Answer:
        if verb is Verb.RESERVE:
            return await self.reserve(kind, body, expected)
        return await self.finish(kind, verb, body[f"{kind}Id"], expected)

    def require(self, words: str, received: Any, *, holds: bool) -> None:
        """Something that several answers say together."""
        if not holds:
            message = f"expected {words}; received {received}"
            if self.steps:
                self.steps[-1].miss = message
            raise MismatchError(message)

    # What is prepared

    async def fund(self, body: Mapping[str, Any], quantity: int, currency: str | None = None) -> None:
        """Let the account of `body` have `quantity` more."""
        names = ("connectionId", "clientId", "partnersConnectionId", "partnerClientId", "partnersClientId")
        account = {name: body[name] for name in names if name in body}
        amount = {"currency": currency or self.terms.amount.currency, "quantity": self.quantity(quantity)}
        allocation = self.body(Kind.ALLOCATION, amount=amount, **account)
        await self.reserve(Kind.ALLOCATION, allocation, expect.RESERVED)
        await self.finish(Kind.ALLOCATION, Verb.CLEAR, allocation["allocationId"], expect.CLEARED)

    async def bring(self, kind: Kind, status: Status | None, **fields: Any) -> dict[str, Any]:
        """A body whose id is in a status; for None, one that was never sent."""
        if status is Status.REJECTED:
            return await self._bring_rejected(kind, **fields)
        body = self.body(kind, **fields)
        if kind is Kind.DEALLOCATION:
            await self.fund(body, 2 * self.terms.amount.quantity)
        if status is not None:
            await self.reserve(kind, body, expect.RESERVED)
        if status in (Status.CLEARED, Status.RELEASED):
            verb = Verb.CLEAR if status is Status.CLEARED else Verb.RELEASE
            await self.finish(kind, verb, body[f"{kind}Id"], expect.ok(status))
        return body

    async def _bring_rejected(self, kind: Kind, **fields: Any) -> dict[str, Any]:
        amount = self.beyond_all_balances
        if kind is Kind.ALLOCATION:
            assert self.terms.rejects is not None, "Need.REJECTION"  # noqa: S101
            amount = {
                "currency": self.terms.rejects.currency,
                "quantity": self.quantity(self.terms.rejects.quantity),
            }
        body = self.body(kind, amount=amount, **fields)
        await self.reserve(kind, body, self.rejected)
        return body

    async def still(self, kind: Kind, body: Mapping[str, Any], status: Status | None) -> None:
        """The id is in a status, as BitGo's own calls show it."""
        of_id = body[f"{kind}Id"]
        if status is None:
            await self.finish(kind, Verb.CLEAR, of_id, expect.REFUSED)
        elif status is Status.REJECTED:
            await self.reserve(kind, body, self.rejected)
        elif status is Status.RESERVED:
            await self.reserve(kind, body, expect.RESERVED)
        else:
            verb = Verb.CLEAR if status is Status.CLEARED else Verb.RELEASE
            await self.finish(kind, verb, of_id, expect.ok(status))

    @property
    def beyond_all_balances(self) -> dict[str, Any]:
        return {"currency": self.terms.amount.currency, "quantity": self.quantity(10**22)}

    @property
    def rejected(self) -> Expected:
        return expect.status(self.terms.rejected_as) & expect.word("rejected")
