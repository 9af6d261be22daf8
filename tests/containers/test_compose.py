"""docker-compose.yml says what it means, and means what our processes understand. No engine is needed."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import pytest

from cli.main import VERBS, main
from ingress.settings import IngressSettings
from local.kafka import PROPERTIES
from local.stack import LEAVE_SECONDS
from processor.settings import ProcessorSettings
from tests.support.servers import compose

COMPOSE: Final = compose()
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = {name: each for name, each in SERVICES.items() if each["image"] == "allocations"}
PROCESSES: Final = {name: each for name, each in OURS.items() if each["command"][0] in ("ingress", "processor")}
ONE_SHOTS: Final = {
    waited
    for each in SERVICES.values()
    for waited, how in each.get("depends_on", {}).items()
    if how["condition"] == "service_completed_successfully"
}
SETTINGS: Final = {"INGRESS_": IngressSettings, "PROCESSOR_": ProcessorSettings}
READS: Final = {"ingress": "INGRESS_", "processor": "PROCESSOR_", "migrate": "PROCESSOR_", "topics": "PROCESSOR_"}
KAFKA_ITSELF: Final = {"KAFKA_HEAP_OPTS"}
"""What the image reads as it is; any other KAFKA_A_B is the property a.b."""


def environment(name: str) -> dict[str, str]:
    return {key: str(value) for key, value in SERVICES[name].get("environment", {}).items()}


def containers_ports(name: str) -> set[str]:
    return {port.rsplit(":", 1)[1] for port in SERVICES[name].get("ports", [])}


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_tells_its_health_or_ends_and_is_waited_for(name: str) -> None:
    if "profiles" in SERVICES[name]:
        assert "restart" not in SERVICES[name], "what is played once is not started again"
    elif name in ONE_SHOTS:
        assert "healthcheck" not in SERVICES[name]
        assert re.fullmatch(r"on-failure:\d+", SERVICES[name]["restart"])
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
        assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_waited_for_exists_and_can_be_waited_for(name: str) -> None:
    for waited, how in SERVICES[name].get("depends_on", {}).items():
        healthy = how["condition"] == "service_healthy"
        assert healthy == ("healthcheck" in SERVICES[waited]), f"{waited} can not be waited for as {how}"
        assert "profiles" not in SERVICES[waited]


def test_our_processes_start_on_keys_tables_and_topics() -> None:
    assert {"ingress-1", "ingress-2", "processor-1", "processor-2"} == PROCESSES.keys()
    assert {"keys", "migrate", "topics"} == ONE_SHOTS
    assert all(ONE_SHOTS == each["depends_on"].keys() for each in PROCESSES.values())


@pytest.mark.parametrize("name", OURS)
def test_each_name_in_the_environment_is_a_setting(name: str) -> None:
    if not (given := environment(name)):
        return
    prefix = READS[OURS[name]["command"][0]]
    known = {f"{prefix}{field}".upper() for field in SETTINGS[prefix].model_fields}
    assert set() == given.keys() - known


@pytest.mark.parametrize("name", PROCESSES)
def test_the_settings_are_complete_and_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    settings = SETTINGS[READS[OURS[name]["command"][0]]]()  # type: ignore[call-arg]
    assert "kafka" == settings.kafka_bootstrap_servers.split(":")[0]
    assert "postgres" == urlsplit(settings.postgres_url.get_secret_value()).hostname
    assert f":{settings.metrics_port}/readyz" in SERVICES[name]["healthcheck"]["test"][-1]
    assert containers_ports(name) == {str(settings.metrics_port)} | (
        {str(settings.port)} if isinstance(settings, IngressSettings) else set()
    )
    if isinstance(settings, IngressSettings):
        assert settings.operator_tokens_file is not None
        for file in (*settings.bitgo_public_key_files, settings.operator_tokens_file):
            assert Path("/keys") == file.parent


def test_each_processor_has_a_name_of_its_own() -> None:
    names = [environment(name)["PROCESSOR_INSTANCE_ID"] for name in OURS if OURS[name]["command"] == ["processor"]]
    assert 2 == len(names) == len(set(names))


def test_kafka_and_postgres_understand_their_environment() -> None:
    lines = PROPERTIES.format_map(defaultdict(lambda: 1)).splitlines()  # one node, and one of everything
    properties = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    given = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value
        for name, value in environment("kafka").items()
        if name not in KAFKA_ITSELF
    }
    assert set() == given.keys() - properties.keys()
    same = {key for key in given if any(word in key for word in ("replica", "isr", "create", "delay", "roles"))}
    assert {key: properties[key] for key in same} == {key: given[key] for key in same}
    assert {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "LANG"} == environment("postgres").keys()
    assert "C.UTF-8" == environment("postgres")["LANG"]


@pytest.mark.parametrize("name", OURS)
def test_each_command_is_a_verb_with_its_options(name: str) -> None:
    verb, *arguments = OURS[name]["command"]
    assert verb in VERBS
    command = main.get_command(click.Context(main), verb)  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts}
    assert set() == {each for each in arguments if each.startswith("--")} - options


def test_the_demo_calls_what_is_there() -> None:
    arguments = OURS["demo"]["command"]
    given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    url = urlsplit(given["--ingress"])
    assert url.hostname in PROCESSES
    assert str(url.port) in containers_ports(str(url.hostname))
    assert given["--kafka"] == environment("processor-1")["PROCESSOR_KAFKA_BOOTSTRAP_SERVERS"]


@pytest.mark.parametrize("name", SERVICES)
def test_each_service_may_do_little_and_is_reached_from_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert ["ALL"] == service["cap_drop"]
    assert ["no-new-privileges:true"] == service["security_opt"]
    assert {"127.0.0.1"} >= {port.split(":")[0] for port in service.get("ports", [])}
    assert {"privileged", "network_mode", "pid", "user"}.isdisjoint(service)
    assert LEAVE_SECONDS == float(service["stop_grace_period"].removesuffix("s"))
    assert COMPOSE["volumes"].keys() >= {volume.split(":")[0] for volume in service.get("volumes", [])}
    if name in OURS:
        assert (True, ["/tmp"]) == (service["read_only"], service["tmpfs"])  # noqa: S108
        assert "cap_add" not in service


def test_no_port_of_this_machine_is_taken_twice() -> None:
    taken = [port.rsplit(":", 1)[0] for each in SERVICES.values() for port in each.get("ports", [])]
    assert sorted(set(taken)) == sorted(taken)
