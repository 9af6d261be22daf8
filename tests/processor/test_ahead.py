"""What follows is decided while a batch is written, and counts only for the records and the rows it was decided for."""

import pytest

from processor import apply, metrics
from processor.apply import Applier
from processor.domain.batch import Batch
from schemas.records import NewerSchemaError
from schemas.words import Verb
from tests.support.batches import PARTITIONS, Log, finish, on, outcomes, reserve

RESERVED, RELEASED = ("applied", None, "reserved"), ("applied", None, "released")


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many records each batch had that was decided, whether it was written or not."""
    sizes: list[int] = []

    class Counted(Batch):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments)  # type: ignore[arg-type]
            sizes.append(0)

        def add(self, each: object) -> None:
            super().add(each)  # type: ignore[arg-type]
            sizes[-1] += 1

    monkeypatch.setattr(apply, "Batch", Counted)
    return sizes


async def test_it_is_decided_once(mine: Applier, log: Log, decided: list[int]) -> None:
    await mine([log.append(on(partition)) for partition in range(PARTITIONS)])
    asked = reserve()
    first, second = [log.append(asked)], [log.append(finish(asked, Verb.RELEASE)), log.append(reserve())]
    assert [RESERVED] == outcomes(await mine(first, second))
    assert [PARTITIONS, 1, 2] == decided
    assert [RELEASED, RESERVED] == outcomes(await mine(second))
    assert [PARTITIONS, 1, 2] == decided


async def test_other_records_are_decided_anew(mine: Applier, log: Log, decided: list[int]) -> None:
    """More than was told of: what else came with it. Or as many, of another partition."""
    await mine([log.append(on(partition)) for partition in range(PARTITIONS)])
    first, second, third = ([log.append(on(0))] for _ in range(3))
    await mine(first, second)
    assert [RESERVED, RESERVED] == outcomes(await mine([*second, *third]))
    assert [PARTITIONS, 1, 1, 2] == decided
    fourth, fifth, other = [log.append(on(0))], [log.append(on(0))], [log.append(on(1))]
    await mine(fourth, fifth)
    batch = await mine(other)
    assert [1] == [row.partition for row, _ in batch.journal]


async def test_it_is_forgotten_when_the_batch_before_it_is_not_written(
    mine: Applier, theirs: Applier, log: Log, decided: list[int]
) -> None:
    """Somebody else has applied both."""
    await mine([log.append(on(partition)) for partition in range(PARTITIONS)])
    asked = reserve()
    first, second = [log.append(asked)], [log.append(finish(asked, Verb.RELEASE))]
    await theirs([*first, *second])
    before = metrics.OUTDATED._value.get()
    assert [[], []] == [outcomes(await mine(first, second)), outcomes(await mine(second))]
    assert 1 == metrics.OUTDATED._value.get() - before
    assert [PARTITIONS, 2, 1, 1, 0, 0] == decided


async def test_what_can_not_be_read_yet_does_no_harm_to_what_is_before_it(mine: Applier, log: Log) -> None:
    await mine([log.append(on(partition)) for partition in range(PARTITIONS)])
    first, newer = log.append(reserve()), log.append_raw(0, b"key", b'{"schemaVersion": 99}')
    assert [RESERVED] == outcomes(await mine([first], [newer]))
    with pytest.raises(NewerSchemaError):
        await mine([newer])
