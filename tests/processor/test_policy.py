"""Why a reserve is turned down: the rules one by one, and which wins where several apply (contract, section 3)."""

from datetime import timedelta
from typing import Any, Final

import pytest

from processor.domain.account import Account
from processor.domain.connection import Connection
from processor.domain.machine import Verdict, asks_policy
from processor.domain.policy import APPROVED_UNASKED, Connections, Judged, Known, PolicySettings, judge
from processor.domain.usage import Usage, UsageKey, usage_key
from schemas import policy as plug
from schemas.commands import Amount, Reserve
from schemas.events import PlugFact
from schemas.words import AfterFinal, ConnectionStatus, Kind, Rejection, Scope, Status, Verb
from tests.support.machine import CONTENT, NOON, SECOND, allocation, command, reserve

APPROVED: Final = PlugFact(verdict="approved", version="1")


def asks(kind: Kind = Kind.ALLOCATION, quantity: int = 5, currency: str = "BTC", **changes: Any) -> Reserve:
    return reserve(kind, amount=Amount(currency=currency, quantity=str(quantity)), **changes)


def account(available: int | None) -> Account | None:
    return None if available is None else Account(str(CONTENT["connection_id"]), "BTC", 0, available, 0)


def connection(**changes: Any) -> Connection:
    known = Connection(
        str(CONTENT["connection_id"]),
        ConnectionStatus.ACTIVE,
        3,
        str(CONTENT["client_id"]),
        None,
        None,
        "client-7",
        "account-7",
        "0" * 64,
        NOON,
        NOON,
    )
    return known._replace(**changes)


RULES = PolicySettings(frozenset({"BTC", "ETH"}), {"BTC": 100})
CASES = [
    # kind, quantity, currency, available, settings → reason, evaluated
    (Kind.ALLOCATION, 5, "BTC", None, PolicySettings(), None, False),
    (Kind.ALLOCATION, 5, "BTC", None, RULES, None, True),
    (Kind.ALLOCATION, 100, "BTC", None, RULES, None, True),
    (Kind.ALLOCATION, 101, "BTC", None, RULES, Rejection.LIMIT_EXCEEDED, True),
    (Kind.ALLOCATION, 101, "ETH", None, RULES, None, True),
    (Kind.ALLOCATION, 1, "btc", None, RULES, Rejection.UNSUPPORTED_CURRENCY, True),
    (Kind.ALLOCATION, 1, "ETH", None, PolicySettings(limits={"BTC": 100}), None, False),
    (Kind.DEALLOCATION, 5, "BTC", 5, PolicySettings(), None, True),
    (Kind.DEALLOCATION, 6, "BTC", 5, PolicySettings(), Rejection.INSUFFICIENT_BALANCE, True),
    (Kind.DEALLOCATION, 1, "BTC", None, PolicySettings(), Rejection.INSUFFICIENT_BALANCE, True),
]


@pytest.mark.parametrize(("kind", "quantity", "currency", "available", "settings", "reason", "evaluated"), CASES)
def test_a_reserve_by_itself(
    kind: Kind,
    quantity: int,
    currency: str,
    available: int | None,
    settings: PolicySettings,
    reason: Rejection | None,
    evaluated: bool,  # noqa: FBT001
) -> None:
    found = judge(asks(kind, quantity, currency), Known(NOON, account(available)), settings)
    assert Judged(Verdict(reason, evaluated=evaluated)) == found


@pytest.mark.parametrize(
    ("sum_before", "settings", "reason"),
    [
        (95, PolicySettings(client_daily_limits={"BTC": 100}), None),
        (96, PolicySettings(client_daily_limits={"BTC": 100}), Rejection.LIMIT_EXCEEDED),
        (95, PolicySettings(connection_daily_limits={"BTC": 100}), None),
        (96, PolicySettings(connection_daily_limits={"BTC": 100}), Rejection.LIMIT_EXCEEDED),
        (5, PolicySettings(client_daily_limits={"BTC": 9}, connection_daily_limits={"BTC": 10}), "limit_exceeded"),
        (5, PolicySettings(client_daily_limits={"BTC": 10}, connection_daily_limits={"BTC": 9}), "limit_exceeded"),
        (0, PolicySettings(client_daily_limits={"BTC": 0}), Rejection.LIMIT_EXCEEDED),
    ],
)
def test_given_a_sum_of_the_day_then_the_limit_is_the_last_that_passes(
    sum_before: int, settings: PolicySettings, reason: Rejection | None
) -> None:
    asked = asks()
    before = {key: Usage(key, 7, sum_before) for key in settings.usage_keys(asked, NOON)}
    found = judge(asked, Known(NOON, usages=before), settings)
    assert Judged(Verdict(reason, evaluated=True), tuple(before.values())) == found


def test_given_a_limit_of_another_currency_then_nothing_is_counted() -> None:
    limits = PolicySettings(client_daily_limits={"ETH": 1}, connection_daily_limits={"ETH": 1})
    assert APPROVED_UNASKED == judge(asks(), Known(NOON), limits)


def test_a_day_and_a_kind_are_counted_by_themselves() -> None:
    asked, back = asks(), asks(Kind.DEALLOCATION)
    keys = {
        usage_key(Scope.CLIENT, asked, NOON),
        usage_key(Scope.CLIENT, back, NOON),
        usage_key(Scope.CONNECTION, asked, NOON),
        usage_key(Scope.CLIENT, asked, NOON + 12 * 3600 * SECOND),
    }
    assert 4 == len(keys)
    assert usage_key(Scope.CLIENT, asked, NOON) == usage_key(
        Scope.CLIENT, asked, NOON + 12 * 3600 * SECOND - timedelta(microseconds=1)
    )


# Each rule breaks with all that stand after it: the reason is its own, and what stands after it is not even looked at.
EVERYTHING = PolicySettings(
    frozenset({"BTC"}), {"BTC": 100}, Connections.REGISTERED, {"BTC": 200}, {"BTC": 150}, plugged=True
)
NO_BALANCE = account(0)
PRECEDENCE: list[tuple[str, Reserve, Connection | None, int, str, bool]] = [
    # reserve, connection, sum of the day, what the plug says → whether the plug is asked
    ("unknown_connection", asks(Kind.DEALLOCATION, 101, "DOGE"), None, 150, "no", False),
    (
        "inactive_connection",
        asks(Kind.DEALLOCATION, 101, "DOGE", client_id="1" * 8 + "-1111-4111-8111-" + "2" * 12),
        connection(status=ConnectionStatus.INACTIVE),
        150,
        "no",
        False,
    ),
    (
        "connection_mismatch",
        asks(Kind.DEALLOCATION, 101, "DOGE", partner_client_id="client-8"),
        connection(),
        150,
        "no",
        False,
    ),
    ("unsupported_currency", asks(Kind.DEALLOCATION, 101, "DOGE"), connection(), 150, "no", False),
    ("limit_exceeded", asks(Kind.DEALLOCATION, 101), connection(), 150, "no", False),
    ("limit_exceeded", asks(Kind.DEALLOCATION), connection(), 150, "no", False),
    ("no", asks(Kind.DEALLOCATION), connection(), 0, "no", True),
    ("policy_failed", asks(Kind.DEALLOCATION), connection(), 0, "", True),
    ("insufficient_balance", asks(Kind.DEALLOCATION), connection(), 0, "approved", True),
]


@pytest.mark.parametrize(("reason", "asked", "connected", "sum_before", "says", "is_asked"), PRECEDENCE)
def test_given_all_that_stands_after_a_rule_then_its_reason_wins(
    reason: str,
    asked: Reserve,
    connected: Connection | None,
    sum_before: int,
    says: str,
    is_asked: bool,  # noqa: FBT001
) -> None:
    calls: list[plug.Facts] = []

    def ask(_: plug.Request, facts: plug.Facts) -> PlugFact:
        calls.append(facts)
        if says == "approved":
            return APPROVED
        return PlugFact(verdict="rejected" if says else "failed", reason=says or "timed_out", version="1")

    usages = {key: Usage(key, 7, sum_before) for key in EVERYTHING.usage_keys(asked, NOON)}
    found = judge(asked, Known(NOON, NO_BALANCE, connected, usages), EVERYTHING, ask)
    assert (reason, is_asked, is_asked) == (found.verdict.reason, bool(calls), found.plug is not None)
    assert (connected.version if connected else 0) == found.verdict.connection_version


def test_the_sums_of_the_day_are_read_only_where_all_before_them_passes() -> None:
    known = Known(NOON, None, connection())
    assert () == judge(asks(quantity=101), known, EVERYTHING).usages
    assert 2 == len(judge(asks(quantity=100), known, EVERYTHING).usages)


def test_the_plug_sees_what_the_commit_guards_and_nothing_else() -> None:
    seen: list[tuple[plug.Request, plug.Facts]] = []

    def ask(request: plug.Request, facts: plug.Facts) -> PlugFact:
        seen.append((request, facts))
        return APPROVED

    back = asks(Kind.DEALLOCATION, notes="a note")
    keys = EVERYTHING.usage_keys(back, NOON)
    known = Known(NOON, account(9), connection(), {key: Usage(key, 1, 10 + n) for n, key in enumerate(keys)})
    judge(back, known, EVERYTHING, ask)
    judge(asks(), known, PolicySettings(), ask)
    (request, facts), (_, bare) = seen
    assert ("deallocation", 5, "a note", NOON) == (request.kind, request.quantity, request.notes, request.recorded_at)
    assert plug.Facts(9, 0, plug.Connection(3, back.client_id, "client-7", "account-7", NOON), 11, 10) == facts
    assert plug.Facts() == bare


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", [None, *Status])
@pytest.mark.parametrize("after_final", AfterFinal)
def test_policy_is_asked_of_what_it_opens_and_of_nothing_else(
    kind: Kind, status: Status | None, after_final: AfterFinal
) -> None:
    state, asked = allocation(kind, status), reserve(kind, after_final)
    opens = status is None or (status is Status.RELEASED and after_final is AfterFinal.REISSUE)
    assert opens == asks_policy(state, asked, NOON)
    assert not asks_policy(state, asked, NOON + 16 * SECOND)
    assert not asks_policy(state, command(kind, Verb.CLEAR), NOON)


def test_the_settings_version_names_the_settings() -> None:
    assert RULES.version == PolicySettings(frozenset({"ETH", "BTC"}), {"BTC": 100}).version
    others = [
        PolicySettings(),
        PolicySettings(frozenset()),
        PolicySettings(limits={"BTC": 1}),
        PolicySettings(client_daily_limits={"BTC": 1}),
        PolicySettings(connection_daily_limits={"BTC": 1}),
        PolicySettings(connections=Connections.REGISTERED),
        PolicySettings(plugged=True),
    ]
    assert len(others) == len({each.version for each in others})


def test_a_key_says_whose_sum_it_is() -> None:
    asked = asks()
    assert UsageKey(Scope.CLIENT, asked.client_id, Kind.ALLOCATION, "BTC", NOON.date()) == usage_key(
        Scope.CLIENT, asked, NOON
    )
    assert asked.connection_id == usage_key(Scope.CONNECTION, asked, NOON).id
