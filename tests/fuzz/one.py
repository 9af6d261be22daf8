"""One target under atheris, which ends the process: `python -m tests.fuzz.one TARGET [libFuzzer's own arguments]`."""

import sys
from importlib import import_module

import aiohttp  # noqa: F401 - imports under the instrument are slow, and these are none of ours
import atheris
from aiokafka.record.default_records import _DefaultRecordBatchPy

from tests.fuzz.mutator import mutate

OURS = ["schemas", "ingress", "processor", "service", "cli", "replay", "jwt"]


def main() -> None:
    _DefaultRecordBatchPy._read_msg = atheris.instrument_func(_DefaultRecordBatchPy._read_msg)
    with atheris.instrument_imports(include=OURS):
        target = import_module(f"tests.fuzz.{sys.argv[1]}")

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        return mutate(data, max_size, seed, atheris.Mutate)

    itself = f"{sys.executable} -m tests.fuzz.one {sys.argv[1]}"  # a merge runs it again, by a shell
    atheris.Setup([itself, *sys.argv[2:]], target.check, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
