"""deploy/systemd says what our processes understand, and what systemd does."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from cli.main import main
from ingress.http.server import FINISH_MARGIN_SECONDS, OTHER_FILES
from ingress.kafka.publisher import FLUSH_SECONDS
from ingress.settings import IngressSettings
from local.stack import LEAVE_SECONDS
from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR
from service.settings import ServiceSettings

FOLDER: Final = Path(__file__).resolve().parent.parent.parent / "deploy" / "systemd"
UNITS: Final = sorted(FOLDER.glob("*.service"))
SERVED: Final = ("allocations-ingress.service", "allocations-processor@.service")
ENVIRONMENTS: Final[dict[str, type[ServiceSettings]]] = {
    "ingress.env": IngressSettings,
    "processor.env": ProcessorSettings,
}


def lines(name: str) -> list[tuple[str, str]]:
    """What a unit or an environment file sets, in order."""
    text = (FOLDER / name).read_text().splitlines()
    return [(key, value) for key, mark, value in (line.partition("=") for line in text) if mark and key[0] != "#"]


def values(name: str, key: str) -> list[str]:
    return [value for each, value in lines(name) if each == key]


@pytest.mark.parametrize(("file", "unit"), list(zip(ENVIRONMENTS, SERVED, strict=True)))
def test_each_variable_is_a_setting_and_none_that_is_required_is_missing(file: str, unit: str) -> None:
    model = ENVIRONMENTS[file]
    prefix = str(model.model_config["env_prefix"])
    given = dict(lines(file)) | dict(each.split("=", 1) for each in values(unit, "Environment"))
    known = {f"{prefix}{field}".upper(): field for field in model.model_fields}
    assert set() == given.keys() - known.keys()
    assert [] == [name for name, value in given.items() if not value]
    model(**{known[name]: value.replace("%", "x") for name, value in given.items()})
    assert f"/etc/allocations/{file}" in values(unit, "EnvironmentFile")


@pytest.mark.parametrize("unit", [each.name for each in UNITS])
def test_each_command_is_a_verb_of_ours(unit: str) -> None:
    commands = values(unit, "ExecStart")
    assert commands
    for each in commands:
        program, verb, *options = each.split(" ")
        assert "/opt/allocations/bin/allocations" == program
        context = main.make_context("allocations", [verb], resilient_parsing=True)
        command = main.get_command(context, verb)
        assert command is not None
        command.make_context(verb, options, resilient_parsing=True)


@pytest.mark.parametrize("unit", SERVED)
def test_a_crash_is_restarted_for_ever_and_status_78_never(unit: str) -> None:
    assert ["always"] == values(unit, "Restart")
    assert ["0"] == values(unit, "StartLimitIntervalSec")
    assert [str(EXIT_OPERATOR)] == values(unit, "RestartPreventExitStatus")


def test_a_stop_has_the_time_that_it_takes() -> None:
    drain = float(dict(lines("ingress.env"))["INGRESS_DRAIN_SECONDS"])
    longest = drain + IngressSettings.model_fields["answer_timeout_seconds"].default
    ingress, processor = (float(values(unit, "TimeoutStopSec")[0]) for unit in SERVED)
    assert ingress > longest + FINISH_MARGIN_SECONDS + FLUSH_SECONDS
    assert processor > LEAVE_SECONDS


def test_an_ingress_may_open_as_many_files_as_it_needs() -> None:
    needed = IngressSettings.model_fields["connections_max"].default + OTHER_FILES
    assert int(values("allocations-ingress.service", "LimitNOFILE")[0]) >= needed


@pytest.mark.parametrize("unit", [each.name for each in UNITS])
def test_each_password_is_a_credential(unit: str) -> None:
    names = [each.partition(":")[0] for each in values(unit, "LoadCredential")]
    assert ["postgres-password", "kafka-password"] == names
    files = [each for each in values(unit, "Environment") if "PASSWORD_FILE" in each]
    assert [f"%d/{name}" for name in names] == [each.partition("=")[2] for each in files]


@pytest.mark.parametrize("unit", [each.name for each in UNITS])
def test_each_is_confined(unit: str) -> None:
    for key, value in (
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("PrivateTmp", "yes"),
        ("User", "allocations"),
    ):
        assert [value] == values(unit, key)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    program = tmp_path / "allocations"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS:
        text = unit.read_text().replace("/opt/allocations/bin/allocations", str(program))
        (tmp_path / unit.name).write_text(text)
    ran = subprocess.run(  # noqa: S603 - our own files
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / each.name) for each in UNITS)],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SYSTEMD_LOG_LEVEL": "warning"},
    )
    assert (0, "") == (ran.returncode, ran.stderr.strip())
