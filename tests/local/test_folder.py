import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from local.folder import hold, release, remembered_ports, write
from local.ports import PORTS
from local.report import LocalError


def test_ports_are_remembered_while_they_are_free(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path, ("broker", "controller"))
    assert remembered_ports(tmp_path, ("broker", "controller")) == first
    assert len(set(first.values())) == 2
    assert all(port in PORTS for port in first.values())


def test_a_port_that_somebody_else_took_is_chosen_again_and_the_other_kept(tmp_path: Path) -> None:
    first = remembered_ports(tmp_path, ("broker", "controller"))
    with socket.create_server(("127.0.0.1", first["broker"])):
        second = remembered_ports(tmp_path, ("broker", "controller"))
    assert second["broker"] != first["broker"]
    assert second["controller"] == first["controller"]
    assert remembered_ports(tmp_path, ("broker", "controller")) == second


async def test_a_folder_is_held_by_one_and_the_next_says_that_it_waits(tmp_path: Path, said: list[str]) -> None:
    first = await hold(tmp_path, said.append)
    waiting = asyncio.create_task(hold(tmp_path, said.append))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert said == [f"waiting for the server that still uses {tmp_path}"]
    release(first)
    release(await waiting)


async def test_a_folder_that_stays_held_is_an_error_that_names_the_holder(tmp_path: Path, said: list[str]) -> None:
    first = await hold(tmp_path, said.append)
    with pytest.raises(LocalError, match=f"in use, by what process {os.getpid()} started"):
        await hold(tmp_path, said.append, timeout_seconds=0.1)
    release(first)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can open what another account locked")
async def test_a_folder_of_another_account_is_left_alone(tmp_path: Path, said: list[str]) -> None:
    release(await hold(tmp_path, said.append))
    os.chown(tmp_path / "lock", 65534, 65534)
    with pytest.raises(LocalError, match="belongs to the account number 65534"):
        await hold(tmp_path, said.append)


async def test_a_folder_is_held_as_long_as_a_process_that_inherited_the_hold(tmp_path: Path, said: list[str]) -> None:
    first = await hold(tmp_path, said.append)
    heir = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=(first,))  # noqa: ASYNC220
    release(first)
    with heir, pytest.raises(LocalError):
        await hold(tmp_path, said.append, timeout_seconds=0.1)
    release(await hold(tmp_path, said.append))


def test_a_file_is_replaced_with_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "password", "old")
    write(tmp_path / "password", "new", mode=0o600)
    assert (tmp_path / "password").read_text() == "new"
    assert (tmp_path / "password").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["password"]
