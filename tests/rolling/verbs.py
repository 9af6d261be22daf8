"""The command line of a tree, on the servers of a system."""

import asyncio
import os
import sys
from typing import Final

from service.errors import EXIT_OPERATOR
from tests.rolling.trees import Tree
from tests.support.system import System

WORDS: Final = 5
"""Lines of what a command said last."""


async def said(system: System, tree: Tree, *arguments: str) -> tuple[int, str]:
    """The exit status of `allocations ARGUMENTS` of that tree, and its last lines."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", *arguments),
        cwd=tree.folder,
        env={
            **os.environ,
            "PYTHONPATH": str(tree.folder),
            "PROCESSOR_KAFKA_BOOTSTRAP_SERVERS": system.kafka,
            "PROCESSOR_POSTGRES_URL": system.database_url,
            "PROCESSOR_TOPIC_PREFIX": system.prefix,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, " / ".join(out.decode(errors="replace").strip().splitlines()[-WORDS:])


async def migrated(system: System, tree: Tree) -> None:
    """`allocations migrate` of a tree."""
    status, words = await said(system, tree, "migrate")
    assert status == 0, words
    print(f"migrated by {tree.name}: {words}", flush=True)


async def refused(system: System, tree: Tree) -> str:
    """Why a tree does not start on this database; empty if it does."""
    status, words = await said(system, tree, "dead-letters", "list")
    return words if status == EXIT_OPERATOR else ""
