"""What the account of Postgres is given when we are root. The modes are ours to change here, whoever runs this."""

import os
from pathlib import Path

import pytest

from local.account import Account, account_for_servers, open_for_reading, open_the_way

STRANGER = Account("stranger", 4_000_000, 4_000_000)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """Give back the innermost of three folders: one closed, one for its group, one open."""
    for name, bits in (("a", 0o700), ("a/b", 0o750), ("a/b/c", 0o755), ("a/b/c/d", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(bits)
    for parent in tmp_path.parents[:-2]:
        parent.chmod(mode(parent) | 0o001)
    tmp_path.chmod(0o701)
    return tmp_path / "a/b/c/d"


def test_folders_that_lack_the_search_bit_get_it_and_nothing_else_changes(
    closed: Path, tmp_path: Path, said: list[str]
) -> None:
    open_the_way(closed, STRANGER, said.append)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "a/b/c", "a/b/c/d")] == [0o701, 0o751, 0o755, 0o700]
    assert [line.split(":")[0] for line in said] == [str(tmp_path / "a"), str(tmp_path / "a/b")]


def test_a_way_that_is_open_is_left_as_it_is(closed: Path, said: list[str]) -> None:
    open_the_way(closed, STRANGER, said.append)
    said.clear()
    open_the_way(closed, STRANGER, said.append)
    assert said == []


def test_an_owner_or_a_group_needs_nothing_that_it_has(closed: Path, tmp_path: Path, said: list[str]) -> None:
    owner = Account("owner", os.getuid(), 4_000_000)
    open_the_way(closed, owner, said.append)
    assert (said, mode(tmp_path / "a")) == ([], 0o700)


def test_files_that_others_cannot_read_become_readable_as_their_owner_has_them(tmp_path: Path, said: list[str]) -> None:
    for name, bits in (("program", 0o700), ("library", 0o600), ("open", 0o644)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(bits)
    (tmp_path / "folder").mkdir(mode=0o700)
    tmp_path.chmod(0o700)
    open_for_reading(tmp_path, STRANGER, said.append)
    assert mode(tmp_path) == 0o705
    assert [mode(tmp_path / name) for name in ("program", "library", "open", "folder")] == [0o705, 0o604, 0o644, 0o705]
    assert len(said) == 1
    assert "4 files and folders" in said[0]


def test_everybody_but_root_is_himself() -> None:
    account = account_for_servers()
    assert (account is None) == (os.geteuid() != 0)
    assert account is None or account.uid != 0
