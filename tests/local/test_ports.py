"""Ports are reserved: nobody is given the port of a server that has not started yet."""

import socket
import subprocess
import sys

import pytest

from local.ports import give_back, reserve_again, reserve_port

ELSEWHERE = "import socket, sys; socket.socket().bind(('127.0.0.1', int(sys.argv[1])))"


def _is_taken_elsewhere(port: int) -> bool:
    ran = subprocess.run([sys.executable, "-c", ELSEWHERE, str(port)], capture_output=True, check=False)  # noqa: S603
    return ran.returncode != 0


def test_given_a_port_was_reserved_when_another_process_looks_then_it_is_taken() -> None:
    port = reserve_port()
    assert _is_taken_elsewhere(port)


def test_given_a_port_was_reserved_then_its_server_can_listen_and_listen_again() -> None:
    port = reserve_port()
    for _ in range(2):
        socket.create_server(("127.0.0.1", port)).close()
    assert _is_taken_elsewhere(port)


@pytest.mark.slow
def test_given_many_are_reserved_before_any_server_starts_then_none_is_given_twice() -> None:
    ports = [reserve_port() for _ in range(300)]
    assert len(set(ports)) == len(ports)
    for port in ports:
        give_back(port)


def test_given_a_port_was_given_back_then_others_may_have_it() -> None:
    port = reserve_port()
    assert reserve_again(port)
    give_back(port)
    assert not _is_taken_elsewhere(port)


def test_the_port_of_an_earlier_start_is_reserved_again_unless_somebody_listens_there() -> None:
    port = reserve_port()
    assert reserve_again(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not reserve_again(port)
    assert not reserve_again(0)
