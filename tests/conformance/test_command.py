"""`allocations conformance` as a person and as a CI server meet it."""

import asyncio
import json
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from bitgo.conformance.catalogue import CHECKS
from local.ports import reserve_port
from tests.conformance.conftest import check, serving
from tests.support.cli import ALLOCATIONS, run

FEW = "auth-0*,auth-21,body-6*,table"


async def test_the_list_needs_no_partner_and_numbers_are_unique() -> None:
    ran = await run("conformance", "--list")
    assert 0 == ran.status
    assert len(CHECKS) == len({each.id for each in CHECKS})
    assert all(each.id in ran.out for each in CHECKS)


async def test_a_partner_that_is_not_there_ends_with_2(key: Path) -> None:
    ran = await run("conformance", f"http://127.0.0.1:{reserve_port()}", "--key", key)
    assert (2, "") == (ran.status, ran.out)
    assert "cannot be reached" in ran.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "URL and --key"),
        (("ftp://partner.example", "--key", "KEY"), "URL must be like"),
        (("http://user:secret@partner.example", "--key", "KEY"), "URL must be like"),
        (("http://127.0.0.1:1", "--key", "KEY", "--skip", "race-06"), "has no reason"),
        (("http://127.0.0.1:1", "--key", "KEY", "--skip", "race-06="), "has no reason"),
        (("http://127.0.0.1:1", "--key", "KEY", "--skip", "rice=why"), "names no check"),
        (("http://127.0.0.1:1", "--key", "KEY", "--only", "rice"), "names no check"),
        (("http://127.0.0.1:1", "--key", "KEY", "--amount", "5"), "BTC:5"),
        (("http://127.0.0.1:1", "--key", "KEY", "--amount", "BTC:1"), "2 base units"),
        (("http://127.0.0.1:1", "--key", "KEY", "--account", "a,b"), "four ids"),
    ],
)
async def test_what_is_told_wrongly_is_refused_in_words(key: Path, options: tuple[str, ...], words: str) -> None:
    ran = await run("conformance", *(str(key) if each == "KEY" else each for each in options))
    assert 2 == ran.status
    assert words in ran.err
    assert "secret" not in ran.err


async def test_reports_say_the_same_and_hold_no_key_and_no_token(key: Path, tmp_path: Path) -> None:
    files = {form: tmp_path / f"report.{form}" for form in ("junit", "html")}
    options = [word for form, file in files.items() for word in (f"--{form}", str(file))]
    skip = ("--skip", "table-01a=the venue is <closed> & empty")
    async with serving(key, "accepts HS256", "500 with a stack trace") as url:
        checked = await check(url, key, tmp_path, "--only", f"{FEW},body-10", *skip, *options)
    failed, counts = {"auth-05", "body-10"}, checked.report["counts"]
    assert failed == checked.ids("failed")
    suites = ET.fromstring(files["junit"].read_text())  # noqa: S314 - our own file
    assert [counts["failed"], counts["skipped"]] == [int(suites.get(each, "")) for each in ("failures", "skipped")]
    cases = [case for case in suites.iter("testcase") if case.find("failure") is not None]
    assert failed == {str(case.get("name")).split()[0] for case in cases}
    page = Page()
    page.feed(files["html"].read_text())
    assert [] == page.foreign
    assert {check["id"]: check["verdict"] for check in checked.report["checks"]} == page.verdicts
    assert "the venue is <closed> & empty" in page.text
    everything = checked.ran.out + page.text + files["junit"].read_text() + json.dumps(checked.report)
    assert "PRIVATE KEY" not in everything
    assert not re.search(r"\beyJ[\w-]+\.", everything)
    assert str(key) not in page.text


class Page(HTMLParser):
    """What a browser would find: the checks, the text, and whatever must be fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.verdicts: dict[str, str] = {}
        self.foreign: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "details":
            self.verdicts[str(given["id"])] = str(given["class"]).split()[1]
        if tag == "link" or "src" in given:
            self.foreign.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.long
async def test_the_curl_lines_get_the_same_answers_when_they_are_pasted(key: Path, tmp_path: Path) -> None:
    pasted = "auth-05,auth-21,body-08,body-10,body-62,number-07,number-52"
    async with serving(key) as url:
        checked = await check(url, key, tmp_path, "--only", pasted)
        assert {} == checked.failures()
        for each in checked.report["checks"]:
            lines = [f"{step['curl']} -o /dev/null -w '%{{http_code}}\\n'" for step in each["steps"]]
            answered = await shell("\n".join(lines), key)
            assert [step["received"].split()[0] for step in each["steps"]] == answered, each["id"]


async def shell(script: str, key: Path) -> list[str]:
    environment = {"KEY": str(key), "PATH": f"{ALLOCATIONS.parent}:/usr/bin:/bin"}
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert b"" == err
    return out.decode().split()


async def test_nothing_hangs_on_a_partner_that_never_answers(key: Path, tmp_path: Path) -> None:
    limits = ("--request-timeout", "0.5", "--check-timeout", "5", "--total-timeout", "10")
    async with serving(key, "silent") as url:
        checked = await check(url, key, tmp_path, "--only", "auth-01,auth-02,race-06,table", *limits)
    assert set() == checked.ids("passed")
    assert any("no answer within 0.5 s" in reason for reason in checked.failures().values())
    assert 1 == checked.ran.status
