"""`allocations capture`: every record of a topic or of a part of it, or no file."""

import asyncio
import json
import uuid
from datetime import timedelta
from pathlib import Path

import pytest

from schemas.records import key_of
from schemas.topics import partition_of
from tests.replay.conftest import history
from tests.support.captures import capture, content, load, publish_at
from tests.support.cli import interrupt_when, start
from tests.support.system import System


def files(folder: Path) -> list[str]:
    """Captures, whole or not."""
    return [each.name for each in folder.iterdir() if "file" in each.name]


async def test_a_part_of_a_topic(system: System, tmp_path: Path) -> None:
    at = await publish_at(system, 10, 0.02)

    async def values(name: str, *options: object) -> list[int]:
        ran = await capture(system, tmp_path / name, *options)
        assert ran.status == 0, ran
        return [int(each.value or b"") for each in content(tmp_path / name)[1]]

    assert list(range(10)) == await values("all")
    assert [1, 3, 5, 7, 9] == await values("partition", "--partition", 1)
    assert [4, 5, 6, 7] == await values("offsets", "--from-offset", 2, "--until-offset", 4)
    assert [3, 4, 5, 6] == await values("times", "--since", at[3].isoformat(), "--until", at[7].isoformat())
    assert [] == await values("before", "--until", (at[0] - timedelta(seconds=1)).isoformat())
    assert [] == await values("future", "--since", (at[9] + timedelta(seconds=1)).isoformat())
    assert list(range(10)) == await values("ago", "--since", "10m")
    assert [5, 7] == await values(
        "both", "--partition", 1, "--since", at[4].isoformat(), "--until-offset", 4, "--from-offset", 1
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--partition", "8"], "has partitions 0 to 7, and no 8"),
        (["--prefix", "nowhere."], "topic nowhere.allocation-commands does not exist"),
        (["--since", "yesterday"], "neither an instant"),
        (["--kafka", "127.0.0.1:1"], "no answer"),
    ],
)
async def test_a_mistake_gets_a_sentence_and_leaves_no_file(
    system: System, tmp_path: Path, options: list[str], words: str
) -> None:
    ran = await capture(system, tmp_path / "file", *options)
    assert ran.status != 0
    assert words in ran.err
    assert not files(tmp_path)


async def test_a_file_is_never_overwritten(system: System, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("precious")
    ran = await capture(system, file)
    assert (78, "precious") == (ran.status, file.read_text())


@pytest.mark.long
async def test_ctrl_c_leaves_no_file(system: System, tmp_path: Path) -> None:
    async with system.producer() as producer:
        for n in range(30):
            await asyncio.gather(
                *[
                    await producer.send(system.topics.commands, uuid.uuid4().bytes * 64, partition=n % 8)
                    for _ in range(1000)
                ]
            )
    folder = tmp_path / "files"
    folder.mkdir()
    process = await start("capture", folder / "file", "--kafka", system.kafka, "--prefix", system.prefix)
    ran = await interrupt_when(process, lambda: any(each.stat().st_size > 100_000 for each in folder.iterdir()))
    assert (130, []) == (ran.status, list(folder.iterdir())), ran
    assert (await capture(system, folder / "file")).status == 0
    assert len(content(folder / "file")[1]) == 30_000


async def test_every_byte_of_a_topic_is_in_the_file_and_every_record_leads_back(
    system: System, target: System, tmp_path: Path
) -> None:
    await history(system)
    for holds, topic in (
        ("commands", system.topics.commands),
        ("events", system.topics.events),
        ("dead-letters", system.topics.dead_letters),
    ):
        file = tmp_path / holds
        assert (await capture(system, file, "--topic", holds)).status == 0
        source, found = content(file)
        expected = await system.records(topic, 1)
        assert {
            (each.partition, each.offset): (each.timestamp, each.timestamp_type, each.key, each.value, each.headers)
            for each in expected
        } == {
            (each.partition, each.offset): (
                each.timestamp_ms,
                each.timestamp_type,
                each.key,
                each.value,
                each.headers,
            )
            for each in found
        }
        assert len(expected) == len(found) > 2
        assert sorted(each.timestamp_ms for each in found) == [each.timestamp_ms for each in found]
        assert (topic, holds, 8) == (source.topic, source.holds, source.partitions)
        if holds != "commands":
            refused = await load(target, file)
            assert refused.status == 78
            assert f"holds {holds}" in refused.err

    await load(target, tmp_path / "commands", "--fast", "--rewrite-ids", "s")
    places = {f"{system.topics.commands}/{each.partition}/{each.offset}" for each in content(tmp_path / "commands")[1]}
    for record in await target.records(target.topics.commands, 1):
        assert dict(record.headers)["replayed-from"].decode() in places
        assert record.partition == partition_of(record.key, 5)
        assert record.key == key_of(json.loads(record.value)["allocationId"])
