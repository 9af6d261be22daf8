"""What the Dockerfile makes: the core and our wheel, for an ordinary user; and that the core is enough."""

import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from typing import Final

import pytest

from cli.main import LOCAL
from tests.support.servers import ROOT, chosen

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTRUCTIONS: Final = [
    (line.split(None, 1)[0], line.split(None, 1)[1])
    for line in re.sub(r"\\\n\s*", "", (ROOT / "Dockerfile").read_text()).splitlines()
    if line and not line.startswith("#")
]
LAST_STAGE: Final = INSTRUCTIONS[max(at for at, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def last(word: str) -> str:
    return [rest for name, rest in LAST_STAGE if name == word][-1]


def locked(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return set(re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE))


def without_the_extra(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`allocations` in an interpreter that has no package of the extra `local`."""
    code = f"import sys; sys.modules.update(dict.fromkeys({sorted(LOCAL)})); from cli.main import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)  # noqa: S603


def test_an_ordinary_user_runs_it() -> None:
    """By number, so that an orchestrator sees that it is not 0."""
    user = last("USER")
    assert re.fullmatch(r"[1-9][0-9]{3,}:[1-9][0-9]{3,}", user)
    assert f"--uid {user.split(':')[0]} " in last("RUN")


def test_signals_reach_the_process() -> None:
    assert ["allocations"] == json.loads(last("ENTRYPOINT"))
    assert isinstance(json.loads(last("CMD")), list)
    assert "STOPSIGNAL" not in [word for word, _ in LAST_STAGE]


def test_only_what_is_locked_is_installed() -> None:
    steps = [step for word, rest in INSTRUCTIONS if word == "RUN" for step in rest.split("&&")]
    installs = [step for step in steps if re.search(r"\binstall --", step)]
    assert 3 == len(installs)
    assert all("--no-deps" in step for step in installs)
    files = {found for step in installs for found in re.findall(r"-r (\S+)", step)}
    assert {"requirements/build.txt", "requirements/core.txt"} == files
    assert all("--require-hashes" in step for step in installs if "-r " in step)


IMPORTED = {"pyyaml": "yaml"}
"""Names under which packages are imported, where they differ."""


def test_the_core_has_neither_java_nor_postgres() -> None:
    extra = {re.split(r"[=<>]", each)[0] for each in PROJECT["project"]["optional-dependencies"]["local"]}
    assert {IMPORTED.get(each, each.replace("-", "_")) for each in extra} == LOCAL
    assert extra <= locked("local")
    assert set() == extra & locked("core")


def test_the_build_sees_what_the_wheel_is_made_of_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    seen = {line[1:] for line in lines if line.startswith("!")}
    packages = set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    named = {PROJECT["project"]["readme"], *PROJECT["project"]["license-files"], "pyproject.toml"}
    assert packages | named | {"requirements/build.txt", "requirements/core.txt"} == seen


def test_the_base_is_a_python_that_we_support() -> None:
    bases = {rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"}
    assert {"python:3.13-slim"} == bases
    assert any(fnmatch(each, "*:: 3.13") for each in PROJECT["project"]["classifiers"])


@pytest.mark.parametrize("verb", ["ingress", "processor", "migrate", "topics", "keys", "token", "settings", "demo"])
def test_the_core_is_enough_for(verb: str) -> None:
    ran = without_the_extra(verb, "--help")
    assert (0, "") == (ran.returncode, ran.stderr)


@pytest.mark.parametrize("verb", ["ingress", "processor"])
def test_the_core_has_all_that_a_process_imports(verb: str) -> None:
    """The settings are read after the imports; that they are missing is the only complaint."""
    ran = without_the_extra(verb)
    assert 78 == ran.returncode, ran.stderr
    assert "POSTGRES_URL: Field required" in ran.stderr


@pytest.mark.parametrize("verb", ["up", "demo"])
def test_what_needs_the_extra_says_so(verb: str) -> None:
    ran = without_the_extra(verb)
    assert 1 == ran.returncode
    assert "needs the extra `local`" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_doctor_works_without_what_it_looks_for() -> None:
    ran = without_the_extra("doctor")
    assert (1, "") == (ran.returncode, ran.stderr)
    assert "pip install 'allocations[local]'" in ran.stdout


def test_a_misspelt_choice_of_servers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOCATIONS_TEST_SERVERS", "container")
    with pytest.raises(pytest.UsageError):
        chosen()
