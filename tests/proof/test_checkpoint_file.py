"""The checkpoint file: what goes in comes out, and whatever happens to it on the way is seen."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from proof.checkpoint.file import (
    MAGIC,
    BlockKind,
    Checkpoint,
    CheckpointWriter,
    Mark,
    check_whole,
    reading,
    writing,
)
from replay.blocks import BLOCK_BYTES
from service.errors import OperatorError

MARK = Mark(next_offset=7, hash="ab" * 32, events=9, dead_letters=0)
NOTHING_YET = Mark(next_offset=0, hash="00" * 32, events=0, dead_letters=0)
CHECKPOINT = Checkpoint(
    cluster_id="cluster",
    commands_topic="allocation-commands",
    partitions=2,
    taken_at=datetime(2026, 11, 21, 12, tzinfo=UTC),
    states=2,
    marks={0: MARK, 1: NOTHING_YET},
)
ROWS: list[tuple[BlockKind, Any]] = [
    (BlockKind.ALLOCATIONS, ["id", None, {"quantityForm": "string"}, "é\n"]),
    (BlockKind.ACCOUNTS, ["id", "BTC", 2**63 - 1, str(10**119), "0"]),
    (BlockKind.KEPT, {"journal": {}, "ledger": [], "dead_letter": None}),
]


class Steps:
    """Progress, counted."""

    def __init__(self) -> None:
        self.total = self.done = 0

    def phase(self, _what: str, total: int) -> None:
        self.total, self.done = total, 0

    def advance(self, steps: int) -> None:
        self.done += steps


def written(file: Path, rows: list[tuple[BlockKind, Any]]) -> Path:
    with writing(file, CHECKPOINT) as writer:
        for part, row in rows:
            writer.add(part, row)
    return file


def read(file: Path) -> list[tuple[BlockKind, Any]]:
    with reading(file, Steps()) as checkpoint:
        assert CHECKPOINT == checkpoint.checkpoint
        return [(part, row) for part, rows in checkpoint for row in rows]


@pytest.mark.parametrize("rows", [[], ROWS, ROWS[2:]], ids=str)
def test_what_goes_in_comes_out(tmp_path: Path, rows: list[tuple[BlockKind, Any]]) -> None:
    assert rows == read(written(tmp_path / "file", rows))
    assert [tmp_path / "file"] == list(tmp_path.iterdir())


def test_how_far_it_is_counts_allocations_and_accounts(tmp_path: Path) -> None:
    steps = Steps()
    check_whole(written(tmp_path / "file", ROWS), steps)
    assert (2, 2) == (steps.total, steps.done)


def test_many_rows_are_many_blocks(tmp_path: Path) -> None:
    rows = [(BlockKind.ALLOCATIONS, [f"{number}", "x" * 100_000]) for number in range(50)]
    file = written(tmp_path / "file", rows)
    assert rows == read(file)
    with reading(file, Steps()) as checkpoint:
        assert all(len(part) <= 2 * BLOCK_BYTES // 100_000 for _, part in checkpoint)


def test_the_last_row_is_the_one_before_and_there_is_none_before_the_first() -> None:
    assert (6, None) == (MARK.last, NOTHING_YET.last)


@pytest.mark.slow
def test_every_truncation_every_flipped_byte_and_what_is_added_is_seen(tmp_path: Path) -> None:
    content = written(tmp_path / "file", ROWS).read_bytes()
    others = [content[:length] for length in range(len(content))]
    others += [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(len(content))]
    for other in [*others, content + b"x", b"", MAGIC]:
        (tmp_path / "other").write_bytes(other)
        with pytest.raises(OperatorError):
            check_whole(tmp_path / "other", Steps())


def test_what_was_interrupted_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(writer: CheckpointWriter) -> None:
        writer.add(*ROWS[0])
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), writing(tmp_path / "file", CHECKPOINT) as writer:
        interrupted(writer)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change",
    [{"marks": {0: MARK}}, {"marks": {0: MARK, 2: MARK}}, {"marks": {0: MARK, 1: MARK, 2: MARK}}],
    ids=str,
)
def test_a_mark_for_each_partition(tmp_path: Path, change: dict[str, Any]) -> None:
    with writing(tmp_path / "file", CHECKPOINT.model_copy(update=change)):
        pass
    with pytest.raises(OperatorError, match="where each partition stands"):
        check_whole(tmp_path / "file", Steps())
