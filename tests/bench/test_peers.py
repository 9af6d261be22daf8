"""The comparison with a peer where there is none, and what it prints."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.__main__ import main
from bench.peers.command import render
from bench.samples import Sample


def test_without_npm_it_is_skipped_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLOCATIONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = CliRunner().invoke(main, ["peers"])
    assert (0, "skipped: npm is missing, and Restate's server comes from there\n") == (found.exit_code, found.output)


def test_without_a_registry_it_is_skipped_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho network unreachable >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("ALLOCATIONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = CliRunner().invoke(main, ["peers"])
    assert 0 == found.exit_code
    assert found.output.endswith("failed: network unreachable\n")


def test_the_ratio_comes_first_and_cpu_is_that_of_all_processes() -> None:
    def sample(rate: float, cpu: dict[str, float]) -> Sample:
        return Sample(100, 1.0, rate, 2.0, 5.0, 3.0, 6.0, cpu)

    found = {
        "product": {8: [sample(50, {"ingress": 1.0, "kafka": 0.5})]},
        "Restate": {8: [sample(100, {"restate": 2.0, "handlers": 1.0})]},
    }
    row = "| 8 | 0.50 (0.50 to 0.50) | 50 (50 to 50) | 2.0 | 1.50 | 100 (100 to 100) | 2.0 | 3.00 | 0.00 |"
    assert row == render(found, [8]).splitlines()[-1]
