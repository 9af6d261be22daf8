"""A port that is taken: by the process before, which leaves, or by a stranger."""

import asyncio
import socket

import pytest

from local.ports import reserve_port
from service import ports
from service.errors import EXIT_OPERATOR, OperatorError
from service.ports import when_free
from tests.support.cli import finish, run, start
from tests.support.system import System


def taken() -> socket.socket:
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    return holder


@pytest.mark.parametrize("verb", ["ingress", "processor"])
async def test_a_process_waits_for_its_metrics_port(settings: dict[str, str], verb: str) -> None:
    with taken() as holder:
        port = str(holder.getsockname()[1])
        process = await start(verb, **settings | {f"{verb.upper()}_METRICS_PORT": port})
        assert process.stderr is not None
        async with asyncio.timeout(60):
            line = await process.stderr.readline()
        assert b"port_taken" in line
        assert port.encode() in line
    async with asyncio.timeout(60):
        while b'"started"' not in (line := await process.stderr.readline()):
            assert line, "it ended"
    process.terminate()
    ran = await finish(process)
    assert 0 == ran.status
    assert "hunter2" not in ran.err


async def test_a_process_that_waits_for_its_port_can_be_stopped(settings: dict[str, str]) -> None:
    with taken() as holder:
        process = await start("processor", **settings | {"PROCESSOR_METRICS_PORT": str(holder.getsockname()[1])})
        assert process.stderr is not None
        async with asyncio.timeout(60):
            await process.stderr.readline()
        process.terminate()
        assert 0 == (await finish(process)).status


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("METRICS_HOST", "192.0.2.1"),
        ("METRICS_HOST", "no-such-host.invalid"),
        ("HOST", "no-such-host.invalid"),
        ("LISTEN_FD", "99"),
    ],
)
async def test_where_this_machine_can_not_listen(settings: dict[str, str], setting: str, value: str) -> None:
    ran = await run("ingress", **settings | {f"INGRESS_{setting}": value})
    assert EXIT_OPERATOR == ran.status
    assert "can not be listened on" in ran.err
    assert value in ran.err


async def test_a_port_that_stays_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "WAIT_SECONDS", 0)
    with taken() as holder:
        host, port = holder.getsockname()
        with pytest.raises(OperatorError, match=f"port {port} can not be listened on: another process has it"):
            await when_free(lambda: asyncio.start_server(print, host, port), f"port {port}", "Choose another")


async def test_an_ingress_waits_for_the_port_of_the_one_before(system: System) -> None:
    port = reserve_port()
    await system.processor()
    with socket.create_server(("127.0.0.1", port)):
        await system.ingress(port=str(port), wait=False)
        async with asyncio.timeout(60):
            while "port_taken" not in system.log("ingress-0").read_text():
                await asyncio.sleep(0.1)
        assert "port" in (await system.readyz("ingress-0"))[1]["problems"]
    await system.ready("ingress-0")
    assert [] == system.ended


@pytest.mark.parametrize("verb", ["ingress", "processor"])
async def test_an_address_of_another_database(settings: dict[str, str], verb: str) -> None:
    ran = await run(verb, **settings | {f"{verb.upper()}_POSTGRES_URL": "mysql://u:hunter2hunter2@h/d"})
    assert EXIT_OPERATOR == ran.status
    assert f"{verb.upper()}_POSTGRES_URL: must be postgresql://" in ran.err
    assert "hunter2" not in ran.out + ran.err
