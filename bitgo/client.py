"""BitGo as a caller: signs a token for each request and sends it (contract, sections 2 and 4)."""

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from schemas.words import Kind, Verb

SIGNATURE: Final = "X-BitGo-Signature"
TOKEN_SECONDS: Final = 55
REQUEST_SECONDS: Final = 30.0


def load_private_key(pem: bytes) -> RSAPrivateKey:
    """Raises ValueError or TypeError when the text is no RSA key."""
    try:
        key = load_pem_private_key(pem, None)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from error
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def sign(key: RSAPrivateKey, *, lifetime_seconds: float = TOKEN_SECONDS, **claims: Any) -> str:
    """A token as BitGo makes them: expires within a minute, single use."""
    now = int(time.time())
    return jwt.encode({"iat": now, "exp": now + lifetime_seconds, "jti": str(uuid.uuid4()), **claims}, key, "RS256")


@dataclass(frozen=True)
class Reply:
    """`headers` are found whatever their case: a balancer may have changed it."""

    status: int
    body: Any
    headers: Mapping[str, str]
    seconds: float


@dataclass
class BitGo:
    """A session against one ingress. Every call signs a fresh token unless it is given headers of its own."""

    url: str
    key: RSAPrivateKey
    base_path: str = "/bitgo/v1"
    timeout_seconds: float = REQUEST_SECONDS
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
        self._session = aiohttp.ClientSession(self.url, connector=connector, timeout=timeout)
        # aiohttp would repeat a PUT or GET whose connection broke, with a token that may be used by then.
        self._session._retry_connection = False  # noqa: SLF001
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    def headers(self, **claims: Any) -> dict[str, str]:
        return {SIGNATURE: sign(self.key, **claims)}

    async def call(self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any) -> Reply:
        """One request; a body that is not JSON is given as text. Raises aiohttp.ClientError when there is no answer."""
        assert self._session is not None, "use it as a context manager"  # noqa: S101
        started = time.perf_counter()
        async with self._session.request(
            method, path, headers=self.headers() if headers is None else headers, **options
        ) as response:
            body = await _body(response)
            return Reply(response.status, body, response.headers, time.perf_counter() - started)

    async def reserve(self, kind: Kind, body: Mapping[str, Any], **extra: str) -> Reply:
        return await self.call("POST", f"{self.base_path}/{kind}s", self.headers() | extra, json=dict(body))

    async def finish(self, kind: Kind, verb: Verb, allocation_id: str, **extra: str) -> Reply:
        return await self.call("PUT", f"{self.base_path}/{kind}/{allocation_id}/{verb}", self.headers() | extra)

    async def activate(self, body: Mapping[str, Any], **extra: str) -> Reply:
        return await self.call("POST", f"{self.base_path}/connections", self.headers() | extra, json=dict(body))

    async def clear(self, kind: Kind, allocation_id: str) -> Reply:
        return await self.finish(kind, Verb.CLEAR, allocation_id)

    async def release(self, kind: Kind, allocation_id: str) -> Reply:
        return await self.finish(kind, Verb.RELEASE, allocation_id)

    async def status(self, kind: Kind, allocation_id: str) -> Reply:
        return await self.call("GET", f"{self.base_path}/{kind}/{allocation_id}")


async def _body(response: aiohttp.ClientResponse) -> Any:
    """Whatever charset it names: JSON is UTF-8."""
    if response.content_length == 0:
        return None
    raw = await response.read()
    try:
        return json.loads(raw) if raw.strip() else None
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


def reserve_body(kind: Kind, quantity: int | str = 5, *, currency: str = "BTC", **fields: Any) -> dict[str, Any]:
    """A reserve of a new id, in the seed's spelling. `fields` replace or add; None leaves a field out."""
    document = {
        f"{kind}Id": str(uuid.uuid4()),
        "amount": {"currency": currency, "quantity": quantity},
        "clientId": str(uuid.uuid4()),
        "connectionId": str(uuid.uuid4()),
        "partnersConnectionId": "account-1",
        f"partner{kind.capitalize()}Id": str(uuid.uuid4()),
        "partnerClientId": "client-1",
    }
    return {name: value for name, value in (document | fields).items() if value is not None}


def activate_body(token: str, **fields: Any) -> dict[str, Any]:
    """An activation of a new connection of a new client. `fields` replace or add; None leaves a field out."""
    document = {
        "clientId": str(uuid.uuid4()),
        "connectionId": str(uuid.uuid4()),
        "connectionToken": token,
        "partnerId": str(uuid.uuid4()),
    }
    return {name: value for name, value in (document | fields).items() if value is not None}
