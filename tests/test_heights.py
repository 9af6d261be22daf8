"""Each test stands at one height, and a unit has no server."""

import subprocess

import pytest

HEIGHTS = ("unit", "postgres", "system", "faults")


def test_given_all_that_were_collected_then_each_has_one_height(request: pytest.FixtureRequest) -> None:
    found = {
        item.nodeid: [height for height in HEIGHTS if item.get_closest_marker(height)] for item in request.session.items
    }
    assert {} == {name: heights for name, heights in found.items() if len(heights) != 1}


@pytest.mark.parametrize("program", [["java", "-version"], ["python", "-m", "cli", "up"]], ids=" ".join)
def test_given_a_unit_then_no_server_can_be_started(program: list[str]) -> None:
    with pytest.raises(AssertionError, match="is a unit, and starts"):
        subprocess.run(program, check=False)  # noqa: S603 - it is not even looked for
