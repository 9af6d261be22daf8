"""The kit passes on a partner that is right, and fails in the right place, and nowhere else, on each that is wrong."""

import uuid
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from bitgo.conformance.catalogue import CHECKS
from bitgo.conformance.check import Need
from tests.conformance.conftest import check, serving
from tests.conformance.wrong_partner import ENTERPRISE

TOLD = ("--enterprise-id", ENTERPRISE, "--rejects", f"LIMITED:{10**16}", "--connection-token", "token-1")
EITHER_ORDER = ("--skip", "race-05*=a release that arrives first meets the fault, one that arrives second does not")

FAULTS = {
    "400 for an unknown id": "table-02? table-03? unknown-01? unknown-03? unknown-05? unknown-12?",
    "400 for a conflict": "table-10a",
    "float quantities": "number-03 number-04 number-05 number-06 number-09 number-72",
    "accepts HS256": "auth-05",
    "accepts a used jti": "auth-21 auth-22 auth-23 auth-24",
    "accepts expired tokens": "auth-12",
    "accepts a token for an hour": "auth-14",
    "credits at reserve": "balance-01 balance-12",
    "credits every clear": "balance-03 race-08",
    "loses a race for a balance": "race-06",
    "clear and release both win": "race-02? race-08",
    "forgets the tombstone": "unknown-04? unknown-05? unknown-06 unknown-13?",
    "accepts the other kind's id": "race-04 unknown-11? unknown-12?",
    "answers in another edition": "edition-01? edition-05 edition-07? edition-08? edition-09 repeat-07 shape-14",
    "slow": "time-03d",
    "500 with a stack trace": "body-10",
    "null is refused": "shape-09",
    "ignores other content": "edition-10? number-72 race-03? repeat-04? repeat-05d",
    "decides again": "repeat-08",
    "no reason for a rejection": "shape-04 shape-05",
    "reads rejected as rejected": "read-04 read-05 list-05",
    "reads quantities as numbers": "read-0[1-6]? read-04 read-05 read-07 list-0[2-7]",
    "ignores unknown parameters": "list-41 list-42 list-43",
    "accepts a connection token again": "connection-04",
}
FEW = {
    "400 for a conflict",
    "float quantities",
    "accepts a used jti",
    "credits at reserve",
    "loses a race for a balance",
    "forgets the tombstone",
    "accepts the other kind's id",
    "answers in another edition",
    "null is refused",
    "no reason for a rejection",
    "reads rejected as rejected",
    "ignores unknown parameters",
    "accepts a connection token again",
}
"""One for each group of checks; the others take long."""


def ids(patterns: str) -> set[str]:
    chosen = {each.id for each in CHECKS if any(fnmatchcase(each.id, pattern) for pattern in patterns.split())}
    assert all(any(fnmatchcase(each.id, pattern) for each in CHECKS) for pattern in patterns.split())
    return chosen


@pytest.mark.parametrize("edition", ["seed", "later"])
async def test_a_partner_that_is_right_passes_every_check_that_needs_nothing_of_ours(
    key: Path, tmp_path: Path, edition: str
) -> None:
    async with serving(key, connection_tokens={"token-1"}) as url:
        checked = await check(url, key, tmp_path, *TOLD, "--edition", edition)
    assert {} == checked.failures()
    assert 0 == checked.ran.status
    ours = {each.id for each in CHECKS if Need.UNPUBLISHED in each.needs}
    assert ours | ids("repeat-09a") == checked.ids("skipped")


async def test_a_partner_that_knows_one_connection_passes_with_it(key: Path, tmp_path: Path) -> None:
    account = f"{uuid.uuid4()},{uuid.uuid4()},account-7,client-7"
    async with serving(key) as url:
        checked = await check(url, key, tmp_path, *TOLD[:4], "--account", account)
    assert {} == checked.failures()
    empty = {each.id for each in CHECKS if Need.OWN_ACCOUNT in each.needs}
    assert empty <= checked.ids("skipped")


@pytest.mark.parametrize(
    "fault", [pytest.param(each, marks=() if each in FEW else pytest.mark.long) for each in FAULTS]
)
async def test_a_partner_that_is_wrong_fails_where_it_is_and_nowhere_else(
    key: Path, tmp_path: Path, fault: str
) -> None:
    options = (*TOLD, *EITHER_ORDER, "--answer-within", "2", "--at-once", "16")
    async with serving(key, fault, connection_tokens={"token-1"}) as url:
        checked = await check(url, key, tmp_path, *options)
    assert ids(FAULTS[fault]) == set(checked.failures()), checked.failures()
    assert 1 == checked.ran.status
