"""Outcomes that were told: kept for whoever awaits one here, and for nobody else."""

from typing import Any

from ingress.told import Told
from schemas.records import Position

PLACE = Position("commands", 3, 17)


def row(command_id: str, partition: int = 3, offset: int = 17) -> list[Any]:
    told = [partition, offset, command_id, "an id", "allocation", "release", "refused", "not_found", "tombstone", 0]
    return [*told, *[None] * 9]


def test_only_what_is_awaited_is_kept() -> None:
    told = Told()
    told.hear([row("mine")])
    with told.awaiting("mine"):
        assert told.outcome("mine", PLACE) is None
        told.hear([row("another"), row("mine")])
        found = told.outcome("mine", PLACE)
        assert found is not None
        assert ("mine", "refused", "not_found") == (found.command_id, found.outcome, found.reason)
        assert told.outcome("another", PLACE) is None
    assert told.outcome("mine", PLACE) is None


def test_it_must_be_of_the_same_place_in_the_log() -> None:
    told = Told()
    with told.awaiting("mine"):
        for elsewhere in (row("mine", partition=4), row("mine", offset=16)):
            told.hear([elsewhere])
            assert told.outcome("mine", PLACE) is None
