"""What a partner may answer, given what BitGo has sent and heard of one id (contract, sections 2 and 3). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from schemas.words import AfterFinal, Verb

OUTCOME: Final = frozenset({"reserved", "rejected"})
STATUSES: Final = OUTCOME | {"cleared", "released"}

OK: Final = 200
NOT_FOUND: Final = 404
CONFLICT: Final = 409
UNPROCESSABLE: Final = 422
NO_OUTCOME: Final = frozenset({429, 502, 503, 504})
"""Says nothing about the order: it is asked again."""
CONFLICT_WITHOUT_CODE: Final = "conflict"


@dataclass(frozen=True)
class Facts:
    """`outcome`: what the reserve was answered. `asked`: what BitGo has decided since, and `answered` to it by what
    word. `is_new`: the partner may never have heard of the id, which is so until a re-issue.
    """

    after_final: AfterFinal
    outcome: Literal["reserved", "rejected"] | None = None
    asked: Literal[Verb.CLEAR, Verb.RELEASE] | None = None
    answered: str | None = None
    is_new: bool = True


def word_of(status: int, body: Any) -> str:
    """The one word that an answer comes down to; its number when it is none of the contract's."""
    document: Mapping[str, Any] = body if isinstance(body, dict) else {}
    if status == OK or (status == UNPROCESSABLE and document.get("status") == "rejected"):
        found = document.get("status")
        return found if isinstance(found, str) and found in STATUSES else f"{status} with status {found!r}"
    if status == NOT_FOUND:
        return "not_found" if document.get("code", "not_found") == "not_found" else f"404 {document['code']}"
    if status == CONFLICT:
        code = document.get("code")
        return code if isinstance(code, str) else CONFLICT_WITHOUT_CODE
    return str(status)


def is_acceptable(word: str, words: frozenset[str]) -> bool:
    """A 409 may say why it is one, and need not."""
    return word in words or (word == CONFLICT_WITHOUT_CODE and any(each.startswith("already_") for each in words))


def acceptable(verb: Verb, sent: Facts, now: Facts) -> frozenset[str]:
    """The words that may come. `sent`: the facts when the request left; `now`: when its answer came."""
    if verb is Verb.CLEAR:
        return frozenset({"cleared"})
    if verb is Verb.RELEASE:
        return _release(now)
    return _reserve(sent, now)


def _release(now: Facts) -> frozenset[str]:
    if now.answered is not None:
        return frozenset({now.answered})
    if now.outcome is not None:
        return frozenset({"released" if now.outcome == "reserved" else "rejected"})
    return frozenset({"released", "rejected"} | ({"not_found"} if now.is_new else set()))


def _reserve(sent: Facts, now: Facts) -> frozenset[str]:
    outcome = frozenset({now.outcome}) if now.outcome else OUTCOME
    if now.outcome == "rejected" or now.asked is None:
        return outcome
    if sent.answered is not None or now.answered in ("not_found", "rejected"):
        return _finished(now)
    return outcome | _finished(now)


def _finished(now: Facts) -> frozenset[str]:
    """What a reserve gets of an id that is finished, or being finished: the lower half of the transition table."""
    is_reissue = now.after_final is AfterFinal.REISSUE
    if now.asked is Verb.CLEAR:
        return frozenset({"cleared" if is_reissue else "already_cleared"})
    if now.answered == "rejected":
        return frozenset({"rejected"})
    if now.answered == "not_found":
        return frozenset({"already_released"})
    if is_reissue and now.answered is not None:
        return OUTCOME | {"already_released"}
    return frozenset({"already_released"} | (OUTCOME if is_reissue else set()))
