"""What is sent: pairs of a reserve and its clear, signed and put into bytes before anything is measured.

A token expires within a minute, so pairs are made in slices, shortly before they are used. Signing releases the
interpreter's lock: threads help.
"""

import json
import os
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from bench.http import request
from bitgo.client import reserve_body, sign
from schemas.words import Kind

ACCOUNTS: Final = 100
BASE_PATH: Final = "/bitgo/v1"


@dataclass(frozen=True, slots=True)
class Pair:
    reserve: bytes
    clear: bytes


def signed(key: RSAPrivateKey, count: int) -> list[str]:
    """Fresh tokens, each good for one request."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(lambda _: sign(key), range(count)))


def pairs(url: str, key: RSAPrivateKey, count: int) -> list[Pair]:
    """Pairs of new allocations, spread over a hundred accounts that are new as well."""
    accounts = [str(uuid.uuid4()) for _ in range(ACCOUNTS)]
    tokens = iter(signed(key, 2 * count))
    return [_pair(url, next(tokens), next(tokens), random.choice(accounts)) for _ in range(count)]


def _pair(url: str, first: str, second: str, account: str) -> Pair:
    body = reserve_body(Kind.ALLOCATION, connectionId=account)
    clear = f"{BASE_PATH}/allocation/{body['allocationId']}/clear"
    return Pair(
        request("POST", url, f"{BASE_PATH}/allocations", first, json.dumps(body).encode()),
        request("PUT", url, clear, second),
    )
