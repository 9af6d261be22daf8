"""A request as a line for the shell that sends it once more."""

import shlex

from bitgo.conformance.wire import Request


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
        parts.append(f'--data-raw "{request.body_words}"' if request.body_words else _data(request.body))
    return " ".join(parts)


def _data(body: bytes) -> str:
    try:
        return f"--data-raw {shlex.quote(body.decode())}"
    except UnicodeDecodeError:
        return "--data-binary \"$(printf '" + "".join(f"\\{byte:03o}" for byte in body) + "')\""
