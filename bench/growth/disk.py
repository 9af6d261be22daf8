"""What is on the disk: bytes of each topic, each table and each index."""

from pathlib import Path
from typing import Final

import psycopg

from service.sql import statements

BLOCK_BYTES: Final = 512
TOPICS: Final = ("allocation-commands", "allocation-events", "allocation-dead-letters")


def kafka_bytes(data: Path) -> dict[str, int]:
    """Allocated bytes of each topic's segments and of their indexes, from a stack's data folder."""
    found = {}
    for topic in TOPICS:
        files = [file for folder in (data / "kafka" / "data").glob(f"{topic}-[0-9]*") for file in folder.iterdir()]
        found[topic] = _allocated([file for file in files if file.suffix == ".log"])
        found[f"{topic}, indexes"] = _allocated([file for file in files if file.suffix != ".log"])
    return found


def postgres_bytes(url: str) -> dict[str, int]:
    """Each table (with its long values) and each index. Some tables of the migration tool are among them."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(statements("bench")["sizes"]).fetchall()
    return {f"{name} (index)" if is_index else name: size for name, is_index, size in rows}


def _allocated(files: list[Path]) -> int:
    return sum(file.stat().st_blocks for file in files) * BLOCK_BYTES
