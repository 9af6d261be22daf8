"""Tokens for SASL OAUTHBEARER, from a function of the operator's that a setting names (docs/brokers.md).

It takes nothing and returns a token, or an awaitable of one; a plain function is called in a thread. It is called for
each connection, so it should keep a token for as long as that is valid. An error of it is an error of the connection,
which is tried again; its words may hold a secret and are shown nowhere.
"""

import asyncio
import functools
import importlib
import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from service.errors import OperatorError
from service.kafka_files import TOKEN_SECONDS

_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, as RFC 7628 asks for."""

Function = Callable[[], str | Awaitable[str]]


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """Asks the function at `path` (`module:function`). Raises OperatorError when there is none."""

    def __init__(self, path: str, extensions: Mapping[str, str]) -> None:
        self._path = path
        self._extensions = dict(extensions)
        self._function = function_at(path)

    async def token(self) -> str:
        """Raises KafkaConnectionError."""
        try:
            async with asyncio.timeout(TOKEN_SECONDS):
                token = await self._asked()
        except TimeoutError:
            raise KafkaConnectionError(f"{self._path} gave no token within {TOKEN_SECONDS:.0f} s") from None
        except Exception as error:  # noqa: BLE001 - it is not ours
            raise KafkaConnectionError(f"{self._path} gave no token: {type(error).__name__}") from None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise KafkaConnectionError(f"what {self._path} gave is no bearer token but {type(token).__name__}")
        return token

    def extensions(self) -> dict[str, str]:
        return self._extensions

    async def _asked(self) -> object:
        if inspect.iscoroutinefunction(self._function):
            return await self._function()
        given = await asyncio.to_thread(self._function)
        return await given if inspect.isawaitable(given) else given


@functools.cache
def function_at(path: str) -> Function:
    """Raises OperatorError."""
    module, _, name = path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:
        raise OperatorError(
            f"KAFKA_TOKEN_PROVIDER names {path}, which can not be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(function):
        raise OperatorError(f"KAFKA_TOKEN_PROVIDER names {path}, which is no function")
    found: Function = function
    return found
