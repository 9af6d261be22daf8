"""Who may call (contract, section 4)."""

import asyncio
import uuid
from functools import partial
from typing import Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.probe import Probe
from bitgo.conformance.sources import CONTRACT, GUIDE_SIGNATURE, RFC_JWT, RFC_JWT_PRACTICE
from bitgo.conformance.tokens import WRONG
from schemas.words import Kind, Status, Verb

COPIES: Final = 20
GROUP: Final = Group("auth", "Who may call", "4", GUIDE_SIGNATURE)
A: Final = Kind.ALLOCATION


@GROUP.check(1, "a fresh RS256 token is accepted")
async def fresh_token(probe: Probe) -> None:
    await probe.reserve(A, probe.body(A), expect.RESERVED)


@GROUP.check(2, "a request without a token is 401 on every endpoint, and changes nothing")
async def no_token(probe: Probe) -> None:
    for kind in Kind:
        body = probe.body(kind)
        await probe.reserve(kind, body, expect.UNAUTHORIZED, signed_by_bitgo=False)
        for verb in (Verb.CLEAR, Verb.RELEASE):
            await probe.finish(kind, verb, body[f"{kind}Id"], expect.UNAUTHORIZED, signed_by_bitgo=False)
        await probe.still(kind, body, None)


async def _wrong(name: str, probe: Probe) -> None:
    body = probe.body(A)
    await probe.reserve(A, body, expect.UNAUTHORIZED, token=probe.wrong_token(name))
    await probe.still(A, body, None)


_PRACTICE: Final = {"alg-none", "hs256-public-key", "rs512", "ps256", "payload-changed", "signature-cut"}
_JWT: Final = {"expired", "not-yet-valid", "other-key", "other-key-kid", "garbage"}
for _number, (_name, (_words, _)) in enumerate(WRONG.items(), 3):
    GROUP.add(
        f"{_number:02}",
        f"401, and nothing changes: {_words}",
        partial(_wrong, _name),
        source=RFC_JWT_PRACTICE if _name in _PRACTICE else RFC_JWT if _name in _JWT else GUIDE_SIGNATURE,
    )


@GROUP.check(21, "the same token a second time is 401")
async def used_token(probe: Probe) -> None:
    token, body = probe.repeated_token(), probe.body(A)
    await probe.reserve(A, body, expect.RESERVED, token=token)
    await probe.reserve(A, body, expect.UNAUTHORIZED, token=token)


@GROUP.check(22, "the same token a second time is 401 on another endpoint too")
async def used_token_elsewhere(probe: Probe) -> None:
    token, body = probe.repeated_token(), probe.body(A)
    await probe.reserve(A, body, expect.RESERVED, token=token)
    await probe.finish(A, Verb.CLEAR, body["allocationId"], expect.UNAUTHORIZED, token=token)
    await probe.still(A, body, Status.RESERVED)


@GROUP.check(23, "another token with a jti that was used is 401")
async def used_jti(probe: Probe) -> None:
    jti, body = str(uuid.uuid4()), probe.body(A)
    await probe.reserve(A, body, expect.RESERVED, token=probe.token(jti=jti))
    await probe.reserve(A, body, expect.UNAUTHORIZED, token=probe.token(jti=jti, exp=50))


@GROUP.check(24, f"of {COPIES} copies of one token at once, one is accepted")
async def copies_at_once(probe: Probe) -> None:
    token, body = probe.repeated_token(), probe.body(A)
    either = expect.status(200, 401)
    answers = await asyncio.gather(*[probe.reserve(A, body, either, token=token) for _ in range(COPIES)])
    accepted = sum(answer.status == 200 for answer in answers)  # noqa: PLR2004
    probe.require("200 once and 401 otherwise", f"200 {accepted} times", holds=accepted == 1)


@GROUP.check(25, "a retry of the same reserve with a new token works")
async def retry(probe: Probe) -> None:
    body = probe.body(A)
    for _ in range(3):
        await probe.reserve(A, body, expect.RESERVED)


@GROUP.check(26, "a jti that is a time-based text is accepted")
async def time_based_jti(probe: Probe) -> None:
    jti = f"2026-01-01T00:00:00.000Z-{uuid.uuid4().hex[:8]}"
    await probe.reserve(A, probe.body(A), expect.RESERVED, token=probe.token(jti=jti))


@GROUP.check(27, "further claims, and a kid that names no known key, do no harm", source=RFC_JWT)
async def further_claims(probe: Probe) -> None:
    await probe.reserve(A, probe.body(A), expect.RESERVED, token=probe.token(iss="bitgo", sub="x", foo="bar"))
    await probe.reserve(A, probe.body(A), expect.RESERVED, token=probe.token(kid="unknown"))


@GROUP.check(28, "every 401 has the same body", source=CONTRACT, needs=[Need.UNPUBLISHED])
async def same_body(probe: Probe) -> None:
    body = probe.body(A)
    missing = await probe.reserve(A, body, expect.UNAUTHORIZED, signed_by_bitgo=False)
    alike = expect.UNAUTHORIZED & expect.that("the body of the first 401", lambda answer: answer.text == missing.text)
    for name in ("expired", "other-key", "alg-none"):
        await probe.reserve(A, body, alike, token=probe.wrong_token(name))
