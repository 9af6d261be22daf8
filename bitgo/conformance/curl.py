"""A request as a line for the shell that sends it once more."""

import shlex
from typing import Final

from bitgo.conformance.wire import Request

BODY_MAX_CHARACTERS: Final = 4000


def curl(request: Request) -> str:
    """The token is a command that makes another such token: one that was sent counts no more, or must not travel."""
    parts = ["curl -sS -i"]
    if request.method != "GET":
        parts.append(f"-X {request.method}")
    parts.append(shlex.quote(request.url))
    if request.token_words is not None:
        parts.append(f'-H "X-BitGo-Signature: {request.token_words}"')
    parts += [f"-H {shlex.quote(f'{name}: {value}')}" for name, value in request.headers.items()]
    if request.body is not None:
        parts.append(_data(request.body))
    return " ".join(parts)


def _data(body: bytes) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return "--data-binary \"$(printf '" + "".join(f"\\{byte:03o}" for byte in body) + "')\""
    if len(text) > BODY_MAX_CHARACTERS:
        return f"--data-raw \"$(printf '{text[0]}%*s{text[-1]}' {len(text) - 2} '')\""
    return f"--data-raw {shlex.quote(text)}"
