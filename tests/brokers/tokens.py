"""Token providers as an operator writes them, good and bad ones, and one that takes its token from a file."""

import asyncio
import base64
import json
import os
import time

from aiokafka.errors import KafkaError

SECRET = "hunter2hunter2"
"""Looked for where it must not be."""


def _part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def made(seconds: float, subject: str = "processor") -> str:
    """An unsigned token, as the broker's own validator takes them."""
    now = int(time.time())
    return f"{_part({'alg': 'none'})}.{_part({'sub': subject, 'iat': now - 60, 'exp': now + seconds})}."


def valid() -> str:
    return made(600)


async def awaited() -> str:
    await asyncio.sleep(0)
    return made(600)


def short() -> str:
    """For the time that a broker remembers it."""
    return made(5)


def expired() -> str:
    return made(-30)


def raises() -> str:
    raise PermissionError(SECRET)


def raises_kafka() -> str:
    raise KafkaError(SECRET)


def nothing() -> None:
    return None


def two_lines() -> str:
    return f"{made(600)}\x01auth=Bearer x"


def from_file() -> str:
    """What another program keeps in a file, whose name is in the environment."""
    with open(os.environ["TOKEN_FILE"]) as file:  # noqa: PTH123
        return file.read().strip()


NO_FUNCTION = "token"
