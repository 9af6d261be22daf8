"""The long run: `make fuzz SECONDS=60` gives each target that much, says what it did, and ends with 1 if it found any.

What a run learns stays in .fuzz/ for the next one; an input that breaks a target is written to .fuzz/found/. Mend the
code, then move the input to tests/fuzz/corpus/ under a name that says what it is. `--merge` writes the smallest set of
inputs that reaches all that .fuzz/ reaches to the corpus.
"""

import argparse
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
CORPUS = HERE / "corpus"
LEARNED = ROOT / ".fuzz"
TARGETS = ("body", "token", "record", "batch", "capture", "settings")

INPUT_MAX_BYTES = 4096
INPUT_MAX_SECONDS = 5
MEMORY_MAX_MB = 1024


@dataclass(frozen=True)
class Run:
    target: str
    executions: int
    new: int
    found: list[Path]
    said: str

    @property
    def is_good(self) -> bool:
        return not self.found and self.executions > 0


def command(target: str, *arguments: str) -> list[str]:
    bounds = [f"-max_len={INPUT_MAX_BYTES}", f"-timeout={INPUT_MAX_SECONDS}", f"-rss_limit_mb={MEMORY_MAX_MB}"]
    return [sys.executable, "-m", "tests.fuzz.one", target, *bounds, *arguments]


def run(target: str, seconds: int, learned: Path = LEARNED) -> Run:
    """Search one target; gives what came of it."""
    found, known = learned / "found", learned / target
    for folder in (found, known):
        folder.mkdir(parents=True, exist_ok=True)
    before = set(found.iterdir())
    arguments = [f"-max_total_time={seconds}", f"-artifact_prefix={found}/{target}-", "-print_final_stats=1"]
    done = subprocess.run(  # noqa: S603 - our own argv
        command(target, *arguments, str(known), str(CORPUS / target)),
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=seconds + 120,
    )
    said = done.stderr.decode(errors="replace")
    return Run(
        target,
        _number(r"number_of_executed_units: (\d+)", said),
        _number(r"new_units_added: +(\d+)", said),
        sorted(set(found.iterdir()) - before),
        said + done.stdout.decode(errors="replace"),
    )


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text)
    return int(match[1]) if match else 0


def merge(target: str) -> None:
    folders = [str(CORPUS / target), str(LEARNED / target)]
    subprocess.run(  # noqa: S603 - our own argv
        command(target, "-merge=1", *folders), cwd=ROOT, capture_output=True, check=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", help=f"default: {' '.join(TARGETS)}")
    parser.add_argument("--seconds", type=int, default=60, help="for each target")
    parser.add_argument("--merge", action="store_true", help="afterwards, keep what was learned in the corpus")
    options = parser.parse_args()
    unknown = set(options.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    runs = [_told(target, options.seconds) for target in options.targets or TARGETS]
    for each in runs:
        if options.merge and each.is_good:
            merge(each.target)
    sys.exit(not all(each.is_good for each in runs))


def _told(target: str, seconds: int) -> Run:
    print(f"{target}: searching for {seconds} s", flush=True)
    each = run(target, seconds)
    print(f"{target}: {each.executions} executions, {each.new} new inputs, {len(each.found)} findings", flush=True)
    if not each.is_good:
        print(each.said[-4000:])
    for path in each.found:
        print(f"  {path}")
    return each


if __name__ == "__main__":
    main()
