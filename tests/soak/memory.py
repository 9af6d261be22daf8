"""How much memory each process has, looked at every few seconds."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from bench.procfs import resident_bytes
from local.supervisor import Supervisor

LOOK_SECONDS: Final = 5.0
MIB: Final = 1 << 20


class Memory:
    """`most`: by process, the most in MiB since `begin_again`."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._most: defaultdict[str, int] = defaultdict(int)

    async def watch(self) -> None:
        while True:
            for name, size in resident_bytes({name: [pid] for name, pid in self._supervisor.pids().items()}).items():
                self._most[name] = max(self._most[name], size // MIB)
            await asyncio.sleep(LOOK_SECONDS)

    def begin_again(self) -> Mapping[str, int]:
        """What was the most until now, without a balancer or the like."""
        found = {name: size for name, size in sorted(self._most.items()) if name.startswith(("ingress", "processor"))}
        self._most.clear()
        return found
