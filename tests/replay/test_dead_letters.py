"""Dead letters through the command: seen safely, retried once and in order, or discarded; and who did it."""

import asyncio
import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bitgo.client import reserve_body
from schemas.commands import FINISHES
from schemas.records import encode_command, key_of
from schemas.topics import partition_of
from schemas.words import Kind, Verb
from tests.support.commands import stamps
from tests.support.dead_letters import PARTITIONS, finish_of, junk, letters, listed, misplace, reserve, rows_of
from tests.support.platform import activate, adjust, deactivate, issued
from tests.support.system import System


async def test_what_was_parked_is_listed_shown_and_filtered(parking: System, tmp_path: Path) -> None:
    assert (await letters(parking, "list")).out == "no open dead letters\n"
    command = reserve()
    [(partition, offset)] = await misplace(parking, command)
    place = await junk(parking, b"\x1b]0;owned\x07\x00 caf\xc3\xa9 \xff", b"\x1b[31mkey")
    await junk(parking, None, b"none")
    both = await listed(parking)
    assert [("wrong_partition", "open"), ("not_a_command", "open"), ("not_a_command", "open")] == [
        (each["reason"], each["state"]) for each in both
    ]
    assert (partition, offset) == (both[0]["partition"], both[0]["offset"])
    assert both[:1] == await listed(parking, "--reason", "wrong_partition")
    assert both[1:] == await listed(parking, "--partition", 3, "--reason", "not_a_command")
    assert both == await listed(parking, "--since", "5m")
    assert [] == await listed(parking, "--since", (datetime.now(UTC) + timedelta(hours=1)).isoformat())
    limited = await letters(parking, "list", "--limit", 1)
    assert "1 of 3 shown" in limited.err

    shown = await letters(parking, "show", *place, "--save", tmp_path / "value")
    assert shown.status == 0
    for words in (r"\x1b]0;owned\x07\x00 café \xff", r"\x1b[31mkey", r"na\x1bme: \x1b[2J\xff", "would be refused"):
        assert words in shown.out
    for text in (shown.out, (await letters(parking, "list")).out):
        assert all(each.isprintable() or each == "\n" for each in text)
    assert (tmp_path / "value").read_bytes() == b"\x1b]0;owned\x07\x00 caf\xc3\xa9 \xff"
    document = json.loads((await letters(parking, "show", *place, "--json")).out)
    assert base64.b64decode(document["keyBase64"]) == b"\x1b[31mkey"
    home = partition_of(key_of(command.allocation_id), PARTITIONS)
    shown = await letters(parking, "show", partition, offset)
    assert f"would publish the reserve of {command.allocation_id} on partition {home}" in shown.out
    missing = await letters(parking, "show", 0, 999_999)
    assert (3, True) == (missing.status, "there is no dead letter" in missing.err)


async def test_a_misplaced_command_is_retried_once(parking: System) -> None:
    command = reserve(received_at=datetime.now(UTC) - timedelta(days=2))
    [place] = await misplace(parking, command)
    ran = await letters(parking, "retry", *place, "--by", "ann", "--reason", "the writer is mended")
    assert ran.status == 0, ran
    assert ran.out.endswith(": applied\n")
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)
    assert [] == await listed(parking)

    [done] = await listed(parking, "--all")
    home = partition_of(key_of(command.allocation_id), PARTITIONS)
    assert ("retried", "ann", "the writer is mended", "applied", home) == (
        done["state"],
        done["by"],
        done["why"],
        done["outcome"],
        done["retriedPartition"],
    )
    [record] = [
        each
        for each in await parking.records(parking.topics.commands, 2)
        if (each.partition, each.offset) == (home, done["retriedOffset"])
    ]
    headers = dict(record.headers)
    assert f"{parking.topics.commands}/{place[0]}/{place[1]}".encode() == headers["retry-of"]
    assert headers["traceparent"].startswith(b"00-1")
    document = json.loads(record.value)
    assert done["commandId"] == document["commandId"] != command.command_id
    assert datetime.fromisoformat(document["receivedAt"]) == command.received_at
    assert datetime.fromisoformat(document["deadline"]) > datetime.now(UTC) - timedelta(seconds=15)

    for verb, options in (("retry", []), ("discard", ["--reason", "x"])):
        again = await letters(parking, verb, *place, *options)
        assert (3, True) == (again.status, "it was retried by ann" in again.err)
    assert len(rows_of(parking, command.allocation_id)) == 1


async def test_a_command_under_another_key_goes_to_its_own(parking: System) -> None:
    command = reserve()
    other = key_of(str(uuid.uuid4()))
    async with parking.producer() as producer:
        sent = await producer.send_and_wait(
            parking.topics.commands, encode_command(command), key=other, partition=partition_of(other, PARTITIONS)
        )
    await parking.caught_up()
    ran = await letters(parking, "retry", sent.partition, sent.offset)
    assert ran.status == 0, ran
    assert [("reserve", "applied")] == rows_of(parking, command.allocation_id)


async def test_what_is_no_command_is_refused_with_its_reason(parking: System) -> None:
    place = await junk(parking, b'{"schemaVersion": 1, "command": "Pay\x1b", "x": 1}')
    ran = await letters(parking, "retry", *place)
    assert ran.status == 3
    assert "it is no command" in ran.err
    assert "\x1b" not in ran.err
    assert [] == parking.rows("SELECT 1 FROM dead_letter_action")
    assert "open" == (await listed(parking))[0]["state"]


async def test_of_one_id_the_oldest_comes_first(parking: System) -> None:
    opened = reserve()
    cleared, late = finish_of(opened, Verb.CLEAR), finish_of(opened, Verb.RELEASE)
    places = await misplace(parking, opened, reserve(), cleared, late)
    ran = await letters(parking, "retry", *places[2])
    assert ran.status == 3
    assert f"partition {places[0][0]}, offset {places[0][1]} is an older one of the same id" in ran.err
    ran = await letters(parking, "retry", "--id", opened.allocation_id.upper())
    assert ran.status == 0, ran
    expected = [("reserve", "applied"), ("clear", "applied"), ("release", "refused")]
    assert expected == rows_of(parking, opened.allocation_id)
    assert [places[1]] == [(each["partition"], each["offset"]) for each in await listed(parking)]
    assert (await letters(parking, "retry", "--id", opened.allocation_id)).status == 3


async def test_an_old_release_does_not_touch_what_was_issued_again(parking: System) -> None:
    """Decision 13: it was received before its id was issued again."""
    async with await parking.ingress() as bitgo:
        funded = reserve_body(Kind.ALLOCATION, 10)
        await bitgo.reserve(Kind.ALLOCATION, funded)
        await bitgo.clear(Kind.ALLOCATION, funded["allocationId"])
        taken = reserve_body(Kind.DEALLOCATION, 5, connectionId=funded["connectionId"])
        taken_id = taken["deallocationId"]
        await bitgo.reserve(Kind.DEALLOCATION, taken)
        old = FINISHES[Kind.DEALLOCATION, Verb.RELEASE](**stamps(taken_id, datetime.now(UTC)))
        [place] = await misplace(parking, old)
        await bitgo.release(Kind.DEALLOCATION, taken_id)
        assert (await bitgo.reserve(Kind.DEALLOCATION, taken)).body["status"] == "reserved"
        ran = await letters(parking, "retry", *place)
        assert (0, True) == (ran.status, ran.out.endswith("refused already_released\n")), ran
        assert "reserved" == (await bitgo.status(Kind.DEALLOCATION, taken_id)).body["status"]


async def test_a_dead_letter_is_discarded_with_a_reason(parking: System) -> None:
    place = await junk(parking, b"junk")
    assert (await letters(parking, "discard", *place)).status == 2
    ran = await letters(parking, "discard", *place, "--reason", "a test by the platform team", "--by", "ben")
    assert ran.status == 0, ran
    [done] = await listed(parking, "--all")
    assert ("discarded", "ben", "a test by the platform team") == (done["state"], done["by"], done["why"])
    assert [] == await listed(parking)
    again = await letters(parking, "discard", *place, "--reason", "x")
    assert (3, True) == (again.status, "it was discarded by ben" in again.err)
    assert len(parking.rows("SELECT 1 FROM dead_letter")) == 1


async def test_the_gauge_counts_the_open_ones(parking: System) -> None:
    place = await junk(parking, b"junk")
    await junk(parking, b"more junk")

    async def shows(count: int) -> None:
        async with asyncio.timeout(30):
            while (await parking.metrics("processor-0")).get("processor_dead_letters_open") != count:
                await asyncio.sleep(0.2)

    await shows(2)
    assert (await letters(parking, "discard", *place, "--reason", "x")).status == 0
    await shows(1)


async def test_commands_of_the_platform_are_retried_as_others_are(parking: System) -> None:
    """Under the deadline of the retry; what they say, a token's expiry too, stays."""
    connection_id, now = str(uuid.uuid4()), datetime.now(UTC)
    token, account = str(uuid.uuid4()), str(uuid.uuid4())
    asked = [
        activate(connection_id, token, issued(account, now + timedelta(hours=1)), at=now),
        adjust(connection_id, {"BTC": 5, "ETH": 7}, at=now - timedelta(days=1)),
        deactivate(connection_id, at=now),
    ]
    late = activate(str(uuid.uuid4()), str(uuid.uuid4()), issued(account, now - timedelta(hours=1)), at=now)
    for command, place in zip([*asked, late], await misplace(parking, *asked, late), strict=True):
        ran = await letters(parking, "retry", *place)
        assert ran.status == 0, ran
        outcome = "refused invalid_connection_token" if command is late else "applied"
        assert ran.out.endswith(f": {outcome}\n")
    assert [("activate", "applied"), ("deactivate", "applied")] == rows_of(parking, connection_id)
    balances = parking.rows(
        "SELECT currency, available::int FROM account WHERE connection_id = %s ORDER BY currency", connection_id
    )
    assert [{"currency": "BTC", "available": 5}, {"currency": "ETH", "available": 7}] == balances
    repeated = asked[1].model_copy(update={"command_id": str(uuid.uuid4())})
    await misplace(parking, repeated)
    ran = await letters(parking, "retry", "--id", repeated.subject_id)
    assert ran.out.endswith(": repeated\n"), ran
