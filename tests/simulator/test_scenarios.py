"""Scenarios: what a file may say, and that a seed says everything about the orders."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitgo.simulator.client_orders import accounts, client_orders, order_from
from bitgo.simulator.scenario import Scenario, ScenarioError, built_in, load, read
from bitgo.simulator.schedule import queues
from schemas.words import Kind

SHARES = st.floats(0, 1)
SCENARIOS = st.builds(
    Scenario,
    name=st.just("any"),
    seed=st.integers(),
    about=st.just("any"),
    orders=st.integers(1, 120),
    clients=st.integers(1, 9),
    in_turn=st.booleans(),
    deallocations=SHARES,
    overdrawn=SHARES,
    take_all=SHARES,
    late=SHARES,
    late_by=st.integers(1, 30),
    settlement_every=st.none() | st.integers(2, 30),
    give_up=SHARES,
    overtaken=SHARES,
    again=SHARES,
)


def test_there_are_twelve_and_each_has_a_name_a_seed_of_its_own_and_a_thousand_orders() -> None:
    scenarios = [load(name) for name in built_in()]
    assert 12 == len(scenarios) == len({each.seed for each in scenarios})
    assert built_in() == [each.name for each in scenarios]
    assert {(1000, 16)} == {(each.orders, each.at_once) for each in scenarios}


@given(SCENARIOS)
def test_given_the_same_seed_then_the_very_same_orders_come_with_the_same_ids(scenario: Scenario) -> None:
    again = Scenario.model_validate(scenario.model_dump())
    assert list(client_orders(scenario)) == list(client_orders(again))
    assert accounts(scenario) == accounts(again)


@pytest.mark.slow
@given(SCENARIOS, st.integers(1, 120))
def test_given_fewer_orders_then_they_are_the_first_of_the_same_ones(scenario: Scenario, fewer: int) -> None:
    some = scenario.changed(orders=min(fewer, scenario.orders))
    assert list(islice(client_orders(scenario), some.orders)) == list(client_orders(some))


@pytest.mark.slow
@given(SCENARIOS)
def test_given_another_seed_then_no_id_is_the_same(scenario: Scenario) -> None:
    other = scenario.changed(seed=scenario.seed + 1)
    ids = {each.allocation_id for each in client_orders(scenario)}
    assert not ids & {each.allocation_id for each in client_orders(other)}
    assert scenario.orders == len(ids)


@pytest.mark.slow
@given(SCENARIOS)
def test_an_order_is_read_back_from_the_ledger_as_it_was(scenario: Scenario) -> None:
    for order in client_orders(scenario):
        assert order == order_from(order.document())


@given(SCENARIOS)
def test_every_order_is_begun_once_and_finished_once_and_not_before(scenario: Scenario) -> None:
    orders = list(client_orders(scenario))
    begun: list[str] = []
    finished: list[str] = []
    for item in (item for queue in queues(orders, scenario) for item in queue):
        if item.begins:
            begun.append(item.order.allocation_id)
        if item.finishes:
            assert item.order.allocation_id in begun
            finished.append(item.order.allocation_id)
    assert sorted(each.allocation_id for each in orders) == sorted(begun) == sorted(finished)


def test_the_first_order_of_an_account_never_takes_back_what_is_not_there() -> None:
    scenario = load("racing-takes")
    seen: set[tuple[str, str]] = set()
    for order in client_orders(scenario):
        account = order.account.connection_id, order.currency
        assert account in seen or order.kind is Kind.ALLOCATION
        seen.add(account)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            b"name: x\nseed: 1\nabout: y\nlost_anwsers: 0.1",
            "lost_anwsers is no key of a scenario; known are name, seed",
        ),
        (b"name: x\nseed: 1\nabout: y\nlost_answers: 2", "lost_answers: Input should be less than or equal to 1"),
        (b"name: x\nseed: 1\nabout: y\nfinish: {clear: 0.5}", "clear, release and open do not add up to 1"),
        (b"name: x\nseed: 1\nabout: y\nquantities: {most: 10, zeros: 78}", "has more than 78 digits"),
        (b"name: x\nseed: '1'\nabout: y", "seed: Input should be a valid integer"),
        (b"name: x\nabout: y", "seed: Field required"),
        (b"- name", "must be a mapping"),
        (b"name: [", "is no YAML"),
        (b"\xff\xfe\x00", "is no YAML"),
        (b"!!python/object/apply:os.getpid []", "is no YAML"),
    ],
)
def test_a_file_that_is_no_scenario_is_refused_with_the_place(text: bytes, message: str) -> None:
    with pytest.raises(ScenarioError, match=r"^mine\.yaml") as error:
        read(text, "mine.yaml")
    assert message in str(error.value)
