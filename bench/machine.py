"""Where the figures come from: without this they say nothing."""

import os
import platform
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from bench.sources import commit
from bench.stack import ROOT

FLUSHES: Final = 200


def facts(postgres: str) -> dict[str, Any]:
    return {
        "measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(ROOT),
        "processor": _first(r"model name\s*: (.+)", Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "memory": f"{int(_first(r'MemTotal: +([0-9]+)', Path('/proc/meminfo')) or 0) / 2**20:.0f} GiB",
        "kernel": platform.release(),
        "Python": platform.python_version(),
        "Kafka": _first(r"kafka_2\.13:([0-9.]+)", ROOT / "local" / "kafka.lock"),
        "Postgres": _postgres(postgres),
        "4 KiB written and flushed to the disk": f"{_flush_ms():.2f} ms",
    }


def _first(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text())
    return found[1] if found else "unknown"


def _postgres(url: str) -> str:
    with psycopg.connect(url) as connection:
        return connection.info.parameter_status("server_version") or "unknown"


def _flush_ms() -> float:
    with tempfile.TemporaryFile() as file:
        started = time.perf_counter()
        for _ in range(FLUSHES):
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
        return (time.perf_counter() - started) * 1000 / FLUSHES
