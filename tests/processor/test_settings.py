"""Limits of money come as JSON in a variable: what could be read in two ways is refused."""

import pytest
from pydantic import ValidationError

from processor.settings import ProcessorSettings


def limits(text: str) -> dict[str, int]:
    settings = ProcessorSettings(instance_id="one", postgres_url="postgresql://", limits=text)  # type: ignore[arg-type]
    return settings.limits


def test_given_whole_numbers_then_they_are_limits() -> None:
    assert {"BTC": 5, "ETH": 10**78 - 1} == limits(f'{{"BTC": "5", "ETH": {10**78 - 1}}}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"BTC": true}', "must be a whole number"),
        ('{"BTC": 1, "BTC": 1000}', "names something twice"),
        ('{"BTC": 1.5}', "integer"),
        ('{"BTC": -1}', "greater than or equal to 0"),
        (f'{{"BTC": {10**78}}}', "less than or equal to"),
        ("{", "must be JSON"),
        ("[1]", "dictionary"),
    ],
)
def test_given_anything_else_then_it_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        limits(text)
