"""Decisions on the platform's accounts, put in order on disk, and what was read of connections."""

from contextlib import closing
from dataclasses import replace

import pytest

from processor.domain.connection import Connection, PlatformAccount
from proof.verify.connection_reads import read_problem
from proof.verify.differences import Difference
from proof.verify.fold import ConnectionRead, Fold, PlatformDecision
from proof.verify.platform_accounts import folded
from schemas.words import ConnectionStatus
from tests.support.commands import NOON

FIRST, OTHER = "connection 1", "connection 2"


def decided(
    account: str, sequence: int, connected: tuple[str | None, str | None], token: str | None, place: str, of: str
) -> PlatformDecision:
    """`connected`: before and after. The token is new, and is spent when it connects."""
    return PlatformDecision(account, sequence, *connected, token, False, token is not None, f"log/{place}", of)  # noqa: FBT003


DECISIONS = [
    decided("account é", 1, (None, "1"), "token", "0/1", FIRST),
    replace(decided("account é", 2, ("1", "1"), "token", "1/3", OTHER), token_used_before=True, spends=False),
    decided("account é", 3, ("1", None), None, "0/2", FIRST),
    decided("another", 1, (None, "2"), "second", "1/4", OTHER),
]


def folded_from(decisions: list[PlatformDecision]) -> tuple[dict[str, PlatformAccount], list[str]]:
    said: list[Difference] = []
    with closing(Fold()) as fold:
        fold.add_platform_decisions(decisions)
        return dict(folded(fold, said.append)), [str(each) for each in said]


def test_decisions_come_in_any_order_and_lead_to_who_is_connected() -> None:
    accounts, said = folded_from(DECISIONS[::-1])
    assert [] == said
    assert {
        "account é": PlatformAccount("account é", 3, None),
        "another": PlatformAccount("another", 1, "2"),
    } == accounts


@pytest.mark.parametrize(
    ("at", "change", "words"),
    [
        (2, {"connected_before": "7"}, "as log/0/2 found it: connected_by is 7, and 1 follows from the log"),
        (2, {"sequence": 4}, "as log/0/2 found it: sequence is 3, and 2 follows from the log"),
        (1, {"token_used_before": False}, "as log/1/3 found it: the token was used before"),
        (3, {"token_used_before": True}, "as log/1/4 found it: no earlier command used the token"),
        (2, {"token_used_before": True}, "as log/0/2 found it: no earlier command used the token"),
    ],
)
def test_a_decision_that_found_something_else_is_named(at: int, change: dict[str, object], words: str) -> None:
    decisions = list(DECISIONS)
    decisions[at] = replace(decisions[at], **change)  # type: ignore[arg-type]
    _, said = folded_from(decisions)
    assert [f"platform_account {decisions[at].account} ({decisions[at].of}): {words}"] == said


def test_a_token_that_another_account_used_was_used_before_or_after() -> None:
    for used in (True, False):
        late = replace(DECISIONS[3], token_hash="token", token_used_before=used, spends=False)
        assert [] == folded_from([*DECISIONS[:3], late])[1]


CONNECTION = Connection("c", ConnectionStatus.ACTIVE, 3, "client", None, None, "user", "account", "hash", NOON, NOON)
READ = ConnectionRead("c", 3, "client", "account", None, None, "log/0/7", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, ""),
        ({"version": 1, "partner_client_id": "user"}, ""),
        ({"reason": "limit_exceeded"}, ""),
        ({"version": 0, "reason": "unknown_connection"}, ""),
        ({"version": 2, "reason": "inactive_connection"}, ""),
        ({"client_id": "other", "reason": "connection_mismatch"}, ""),
        ({"version": 4}, "was read in version 4, and has 3"),
        ({"version": 0}, "version 0 of the connection it is unknown_connection, and it was approved"),
        ({"version": 2}, "version 2 of the connection it is inactive_connection, and it was approved"),
        ({"client_id": "other"}, "is connection_mismatch, and it was approved"),
        ({"partners_connection_id": "other"}, "is connection_mismatch, and it was approved"),
        ({"partner_client_id": "other"}, "is connection_mismatch, and it was approved"),
        ({"reason": "inactive_connection"}, "is not to be rejected for it, and it was inactive_connection"),
        ({"version": 0, "reason": "connection_mismatch"}, "unknown_connection, and it was connection_mismatch"),
    ],
)
def test_a_verdict_is_what_the_version_that_was_read_asks_for(change: dict[str, object], words: str) -> None:
    found = read_problem(CONNECTION, replace(READ, **change))  # type: ignore[arg-type]
    assert words in found
    assert bool(words) == bool(found)
    assert "has 0" in read_problem(None, READ)
