"""Restate's server from npm and its Python SDK, each from a lock, in the cache folder. Nothing of it is in ours."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from bench.errors import BenchError
from bench.stack import ROOT
from local.jars import cache_folder

HERE: Final = Path(__file__).parent
PYTHON_LOCK: Final = ROOT / "requirements" / "peers.txt"
NPM_FILES: Final = (HERE / "package.json", HERE / "package-lock.json")
SECONDS: Final = 300


class SkippedError(BenchError):
    """There is nothing to compare with here; the sentence says why."""


def installed() -> Path:
    """The folder with both; made at the first call. Raises SkippedError where it can not be."""
    locks = b"".join(file.read_bytes() for file in (PYTHON_LOCK, *NPM_FILES))
    folder = cache_folder() / f"peers-{hashlib.sha256(locks).hexdigest()[:16]}"
    done = folder / "done"
    if not done.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise SkippedError("npm is missing, and Restate's server comes from there")
        click.echo("installing Restate's server and Python SDK, which takes a minute", err=True)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in NPM_FILES:
            shutil.copy(file, folder)
        _run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=0", "--prefix", str(folder))
        _run(sys.executable, "-m", "venv", str(folder / "venv"))
        pip = (str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check")
        _run(*pip, "--quiet", "--no-deps", "--require-hashes", "-r", str(PYTHON_LOCK))
        done.touch()
    return folder


def server(folder: Path) -> Path:
    """The program itself, not the script that npm starts it by."""
    found = list(folder.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not found:
        raise SkippedError("there is no server of Restate's for this machine")
    return found[0]


def _run(*arguments: str) -> None:
    try:
        subprocess.run(arguments, check=True, capture_output=True, text=True, timeout=SECONDS)  # noqa: S603 - our own words
    except subprocess.CalledProcessError as error:
        raise SkippedError(f"{arguments[0]} failed: {error.stderr.strip()[-400:]}") from error
    except subprocess.TimeoutExpired as error:
        raise SkippedError(f"{arguments[0]} was not done in {SECONDS} s; is there a network?") from error
