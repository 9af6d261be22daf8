"""Which source tree is meant."""

import subprocess
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.sources import source


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "file").write_text("old")
    who = ["-c", "user.name=me", "-c", "user.email=me@example.com"]
    for words in (["init", "-q"], ["add", "file"], [*who, "commit", "-qm", "first"]):
        subprocess.run(["git", "-C", folder, *words], check=True)  # noqa: S603, S607
    (folder / "file").write_text("new")
    return folder


def test_a_folder_is_taken_as_it_is(repository: Path, tmp_path: Path) -> None:
    found, commit = source(str(repository), tmp_path / "into")
    assert repository == found
    assert commit.endswith("+"), "it was changed since the commit"


def test_a_reference_of_another_repository_is_unpacked(repository: Path, tmp_path: Path) -> None:
    found, commit = source(f"{repository}@HEAD", tmp_path / "into")
    assert "old" == (found / "file").read_text()
    assert not commit.endswith("+")


def test_what_is_neither_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="neither a folder nor a git reference"):
        source("no-such-thing", tmp_path)
