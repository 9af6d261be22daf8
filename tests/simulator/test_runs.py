"""`allocations simulator` against the product, over real HTTP, as a user runs it."""

import asyncio
import random
import signal
import sqlite3
from asyncio.subprocess import Process
from contextlib import closing
from pathlib import Path

import pytest

from bitgo.simulator.entries import Balance
from bitgo.simulator.ledger import Ledger
from bitgo.simulator.ledger_check import check
from bitgo.simulator.scenario import built_in
from local.credentials import development_key
from tests.simulator.conftest import Product
from tests.support.cli import finish, run, start
from tests.support.servers import Servers
from tests.support.system import shared_system


@pytest.fixture
def seed() -> int:
    """Another one each time: the product knows the ids of the time before."""
    chosen = random.randrange(10**9)
    print(f"seed {chosen}")
    return chosen


FEW = ("lost-answers", "overtaking-releases", "racing-takes", "mixed-editions")


@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=() if each in FEW else pytest.mark.long) for each in built_in()]
)
async def test_given_any_trouble_then_both_sides_agree_at_the_end(
    product: Product, tmp_path: Path, name: str, seed: int
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    ran = await run("simulator", "run", name, "--orders", 60, "--seed", seed, *product.options(ledger))
    assert (0, 0) == (ran.status, ran.out.count("DIFFERS")), ran
    assert f"{name}/{seed}: 60 orders" in ran.out
    with Ledger(ledger) as opened:
        assert [] == check(opened)
        assert 60 == len(list(opened.allocations()))


async def test_keys_take_turns_while_calls_are_in_flight(product: Product, tmp_path: Path, seed: int) -> None:
    arguments = ["simulator", "run", "key-rotation", "--orders", 40, "--seed", seed]
    ran = await run(*arguments, *product.options(tmp_path / "ledger.sqlite"))
    assert 0 == ran.status
    assert " key rotated" in ran.out


async def test_the_next_key_has_its_turn_on_request(product: Product, tmp_path: Path, seed: int) -> None:
    ledger = tmp_path / "ledger.sqlite"
    process = await start("simulator", "run", "late-clears", "--orders", 60, "--seed", seed, *product.options(ledger))
    assert await _has_begun(ledger, process, 1)
    process.send_signal(signal.SIGUSR1)
    ran = await finish(process)
    assert (0, True) == (ran.status, "1 key rotated" in ran.out), ran


async def test_given_ctrl_c_then_it_says_how_to_go_on_and_the_ledger_agrees(
    product: Product, tmp_path: Path, seed: int
) -> None:
    ledger = tmp_path / "ledger.sqlite"
    process = await start("simulator", "run", "late-clears", "--seed", seed, *product.options(ledger))
    assert await _has_begun(ledger, process, 5)
    process.send_signal(signal.SIGINT)
    ran = await finish(process)
    assert (130, True) == (ran.status, "the same command goes on where this one was" in ran.err), ran
    assert 0 == (await run("simulator", "check", "--ledger", ledger)).status


@pytest.mark.long
async def test_given_it_is_killed_at_any_moment_then_its_ledger_agrees_and_it_goes_on(
    product: Product, tmp_path: Path, seed: int
) -> None:
    dice, ledger = random.Random(seed), tmp_path / "ledger.sqlite"
    arguments = ["simulator", "run", "lost-answers", "--orders", 150, "--seed", seed, *product.options(ledger)]
    begun = 0
    for _ in range(4):
        process = await start(*arguments)
        if await _has_begun(ledger, process, begun + dice.randint(5, 30)):
            await asyncio.sleep(dice.uniform(0, 0.2))
            process.send_signal(signal.SIGKILL)
        await process.communicate()
        with Ledger(ledger) as opened:
            assert [] == check(opened)
            begun = len(list(opened.allocations()))
    ran = await run(*arguments)
    assert (0, 0) == (ran.status, ran.out.count("DIFFERS")), ran
    checked = await run("simulator", "check", "--ledger", ledger)
    assert (0, "150 allocations and deallocations, 0 contradictions\n") == (checked.status, checked.out)


async def _has_begun(ledger: Path, process: Process, orders: int) -> bool:
    """Waits until so many orders stand in the ledger; False when the process ends before."""
    while process.returncode is None:
        await asyncio.sleep(0.05)
        if _orders_in(ledger) >= orders:
            return True
    return False


def _orders_in(ledger: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as database:
            return int(database.execute("SELECT count(*) FROM orders").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


async def test_given_the_same_run_again_then_nothing_is_ordered_twice(
    product: Product, tmp_path: Path, seed: int
) -> None:
    arguments = ["simulator", "run", "late-clears", "--orders", 20, "--seed", seed]
    assert 0 == (await run(*arguments, *product.options(tmp_path / "ledger.sqlite"))).status
    again = await run(*arguments, *product.options(tmp_path / "ledger.sqlite"))
    assert 0 == again.status
    assert "20 orders, 0 calls" in again.out


async def test_given_another_ledger_and_the_same_seed_then_the_partner_knows_the_ids_and_that_is_said(
    product: Product, tmp_path: Path, seed: int
) -> None:
    arguments = ["simulator", "run", "overdrawn", "--orders", 20, "--seed", seed]
    assert 0 == (await run(*arguments, *product.options(tmp_path / "one.sqlite"))).status
    again = await run(*arguments, *product.options(tmp_path / "two.sqlite"))
    assert 1 == again.status
    assert "reserve was answered 409 already_cleared, due was rejected or reserved" in again.out


async def test_given_nobody_answers_or_the_key_is_unknown_then_the_status_is_2(
    product: Product, tmp_path: Path
) -> None:
    key, _ = development_key(tmp_path)
    ledger = ["--ledger", tmp_path / "ledger.sqlite"]
    nobody = await run("simulator", "run", "overdrawn", "--partner", "http://127.0.0.1:9", "--key", key, *ledger)
    assert (2, True) == (nobody.status, "http://127.0.0.1:9 does not answer" in nobody.err)
    stranger = await run("simulator", "run", "overdrawn", "--partner", product.url, "--key", key, *ledger)
    assert (2, True) == (stranger.status, "does not know the public key" in stranger.err)


async def test_a_scenario_with_connections_says_what_the_partner_lacks(product: Product, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nseed: 1\nabout: connects first\nconnect: true\norders: 2\n")
    ran = await run("simulator", "run", file, *product.options(tmp_path / "ledger.sqlite"))
    assert (2, True) == (ran.status, "needs a partner that activates connections" in ran.err)


async def test_orders_from_the_command_line_move_one_account(product: Product, tmp_path: Path) -> None:
    ledger, account = tmp_path / "ledger.sqlite", f"desk-{random.randrange(10**9)}"
    options = [*product.options(ledger), "--account", account]
    bought = await run("simulator", "order", "allocation", 10**21, "WEI", *options, "--edition", "javascript")
    assert (0, True) == (bought.status, "is cleared" in bought.out), bought
    held = await run("simulator", "order", "deallocation", 5, "WEI", *options, "--finish", "open")
    assert (0, True) == (held.status, f"has {10**21 - 5} available, 5 held" in held.out), held
    too_much = await run("simulator", "order", "deallocation", 10**21, "WEI", *options)
    assert (0, True) == (too_much.status, "is rejected: insufficient_balance" in too_much.out), too_much
    with Ledger(ledger) as opened:
        assert [Balance(10**21 - 5, 5)] == list(opened.balances().values())


async def test_the_live_table_shows_orders_answers_and_faults(product: Product, tmp_path: Path, seed: int) -> None:
    arguments = ["simulator", "run", "copies-at-once", "--orders", 30, "--seed", seed, "--watch"]
    ran = await run(*arguments, *product.options(tmp_path / "ledger.sqlite"), COLUMNS="140")
    assert 0 == ran.status
    for words in (f"copies-at-once/{seed}", "30 of 30 orders", "reserve reserved", "copies at once", "none"):
        assert words in ran.out


async def test_the_list_names_every_scenario_with_its_sentence() -> None:
    ran = await run("simulator", "list")
    assert built_in() == [line.split()[0] for line in ran.out.splitlines()]


async def test_given_an_operator_s_token_then_connections_are_registered_first(
    servers: Servers, template: str, tmp_path: Path
) -> None:
    async with shared_system(servers, template, tmp_path) as system:
        await system.processor(connections="registered", wait=False)
        await system.ingress(wait=False)
        for name in system.health:
            await system.ready(name)
        product = Product(system, system.urls["ingress-0"], (development_key(tmp_path)[0],) * 2)
        options = [*product.options(tmp_path / "ledger.sqlite"), "--operator-token", tmp_path / "operator-token"]
        for _ in range(2):
            ran = await run("simulator", "run", "lost-answers", "--orders", 20, *options)
            assert (0, True) == (ran.status, "20 orders" in ran.out), ran
        (tmp_path / "ledger.sqlite").unlink()
        ran = await run("simulator", "run", "lost-answers", "--orders", 20, "--seed", 9, *options)
        assert 0 == ran.status, ran
        ordered = await run("simulator", "order", "allocation", 5, "BTC", *options)
        assert (0, True) == (ordered.status, "is cleared" in ordered.out), ordered
        stranger = await run("simulator", "order", "allocation", 5, "BTC", "--account", "new", *options[:-2])
        assert "is rejected: unknown_connection" in stranger.out, stranger
        reader = tmp_path / "nobody"
        reader.write_text("no-token-of-ours")
        refused = await run("simulator", "order", "allocation", 5, "BTC", "--account", "new", *options[:-1], reader)
        assert (2, True) == (refused.status, "may that operator write" in refused.err), refused
