"""What a commit of this server is worth, and whether it holds our text."""

from typing import Any, Final, LiteralString

import psycopg

from service.errors import OperatorError
from service.logs import logger

_SETTINGS: Final[LiteralString] = (
    "SELECT name, current_setting(name) FROM unnest(ARRAY['fsync', 'full_page_writes']) AS name"
)


async def check_commits(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> None:
    """Warn of a server whose commits do not outlive its machine, as for tests. Raises OperatorError for an encoding
    other than UTF-8.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise OperatorError(f"the database's encoding is {encoding}: restore it into one with ENCODING 'UTF8'")
    cursor = await connection.execute(_SETTINGS)
    if weak := [name for name, value in await cursor.fetchall() if value == "off"]:
        logger("checks").warning(
            "weak_postgres",
            off=weak,
            remedy="a power cut or a crash of the machine may take acknowledged commands, or the whole database: "
            "turn them on",
        )
