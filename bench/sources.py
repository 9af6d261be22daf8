"""Which source tree: a folder, a git reference of this repository, or another one's, as `FOLDER@REFERENCE`."""

import io
import subprocess
import tarfile
from pathlib import Path

from bench.errors import BenchError
from bench.stack import ROOT


def source(words: str, into: Path) -> tuple[Path, str]:
    """The tree's folder and commit; a reference is unpacked to `into`. Raises BenchError when there is none such."""
    if Path(words).is_dir():
        return Path(words).resolve(), commit(Path(words))
    repository, _, reference = words.rpartition("@")
    try:
        archive = subprocess.run(  # noqa: S603 - an argument of git's, and no option of it
            ["git", "-C", repository or ROOT, "archive", "--end-of-options", reference],  # noqa: S607
            capture_output=True,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode().strip()
        raise BenchError(f"{words} is neither a folder nor a git reference: {said}") from error
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extraction_filter = getattr(tarfile, "data_filter", None)  # Python 3.11.4 has it, and 3.11.0 does not
        files.extractall(into)  # noqa: S202 - what git made of a tree
    return into, _git(Path(repository or ROOT), "rev-parse", "--short", reference)


def commit(folder: Path) -> str:
    """The commit that a folder stands at, with `+` when it was changed since; empty where there is no git."""
    try:
        head = _git(folder, "rev-parse", "--short", "HEAD")
        return head + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, check=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()
