"""Many at once: one winner, every loser told the truth, and nothing moved twice."""

import asyncio
from collections import Counter

from bitgo.client import reserve_body
from schemas.words import Kind, Status, Verb
from tests.endpoints.conftest import Site


async def test_twenty_clears_and_releases_of_one_id_have_one_winner(site: Site) -> None:
    ingresses = list(site.by_setting.values())
    for _ in range(10):
        body = await site.bring(Kind.ALLOCATION, Status.RESERVED)
        verbs = [Verb.CLEAR, Verb.RELEASE] * 10
        replies = await asyncio.gather(
            *[ingresses[n % 4].finish(Kind.ALLOCATION, verb, body["allocationId"]) for n, verb in enumerate(verbs)]
        )
        final = (await site.bitgo.status(Kind.ALLOCATION, body["allocationId"])).body["status"]
        winner = Verb.CLEAR if final == "cleared" else Verb.RELEASE
        for verb, reply in zip(verbs, replies, strict=True):
            expected = (200, final) if verb is winner else (409, f"already_{final}")
            assert expected == (reply.status, reply.body.get("code") or reply.body["status"])
            assert reply.headers["Allocation-Version"] == "2"
        moved = site.system.rows("SELECT * FROM ledger WHERE connection_id = %s", body["connectionId"])
        accounts = site.system.rows("SELECT * FROM account WHERE connection_id = %s", body["connectionId"])
        assert len(moved) == (1 if winner is Verb.CLEAR else 0)
        assert [5] * len(moved) == [account["available"] for account in accounts if account["sequence"]]


async def test_a_clear_right_after_the_reserves_answer_always_finds_it(site: Site) -> None:
    ingresses = list(site.by_setting.values())
    outcomes: Counter[int] = Counter()

    async def pairs(count: int) -> None:
        for n in range(count):
            body = reserve_body(Kind.ALLOCATION)
            assert (await ingresses[n % 4].reserve(Kind.ALLOCATION, body)).status == 200
            outcomes[(await ingresses[(n + 1) % 4].clear(Kind.ALLOCATION, body["allocationId"])).status] += 1

    await asyncio.gather(*[pairs(40) for _ in range(8)])
    assert {200: 320} == outcomes


async def test_a_deallocation_passes_right_after_the_clears_answer(site: Site) -> None:
    """Whatever the partitions: what was cleared can be taken back (contract, section 2)."""

    async def there_and_back() -> None:
        body = reserve_body(Kind.ALLOCATION, 7)
        await site.fund(body["connectionId"], 7)
        back = reserve_body(Kind.DEALLOCATION, 7, connectionId=body["connectionId"])
        assert (await site.bitgo.reserve(Kind.DEALLOCATION, back)).body["status"] == "reserved"

    await asyncio.gather(*[there_and_back() for _ in range(40)])


async def test_copies_of_one_reserve_at_once_make_one_reservation(site: Site) -> None:
    body = reserve_body(Kind.ALLOCATION)
    ingresses = list(site.by_setting.values())
    replies = await asyncio.gather(*[ingresses[n % 4].reserve(Kind.ALLOCATION, body) for n in range(20)])
    assert {(200, "reserved", "1")} == {
        (reply.status, reply.body["status"], reply.headers["Allocation-Version"]) for reply in replies
    }
    assert len({reply.headers["Log-Position"] for reply in replies}) == 20
    outcomes = site.system.rows(
        "SELECT outcome, count(*) FROM journal WHERE subject_id = %s GROUP BY 1", body["allocationId"]
    )
    assert {"applied": 1, "repeated": 19} == {row["outcome"]: row["count"] for row in outcomes}


async def test_deallocations_at_once_never_take_more_than_there_is(site: Site) -> None:
    account = reserve_body(Kind.ALLOCATION)["connectionId"]
    await site.fund(account, 10)
    bodies = [reserve_body(Kind.DEALLOCATION, 3, connectionId=account) for _ in range(12)]
    replies = await asyncio.gather(*[site.bitgo.reserve(Kind.DEALLOCATION, body) for body in bodies])
    assert {"reserved": 3, "rejected": 9} == Counter(reply.body["status"] for reply in replies)
    [row] = site.system.rows("SELECT * FROM account WHERE connection_id = %s", account)
    assert (1, 9, 13) == (row["available"], row["held"], row["sequence"])
