"""Choosing ports: one that was given to somebody is given to nobody else, though its server starts later.

Until a server listens on its port, whoever else looks for a free one finds it, and two servers start on one port. So a
port is bound here, without listening, until this process ends: Linux lets a server with SO_REUSEADDR, as all of ours
are, listen on it all the same, again after each restart, and whoever looks for a free port sees that it is taken.
"""

import atexit
import random
import socket
from typing import Final

# Below the range from which the kernel takes ports for outgoing connections: a client that keeps on trying a closed
# port of that range can meet itself there, and then the server cannot come back.
PORTS: Final = range(20_000, 32_000)

_reserved: Final[dict[int, list[socket.socket]]] = {}


def reserve_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and which nobody else has reserved."""
    return next(port for port in random.sample(PORTS, len(PORTS)) if _reserve(port, is_shared=False))


def reserve_again(port: int) -> bool:
    """Whether the port of an earlier start is still free; it may be reserved, by that start for example."""
    return port in PORTS and _reserve(port, is_shared=True)


def give_back(port: int) -> None:
    """Let others have a port on which nobody will listen any more."""
    for each in _reserved.pop(port, ()):
        each.close()


@atexit.register
def _give_all_back() -> None:
    for port in list(_reserved):
        give_back(port)


def _reserve(port: int, *, is_shared: bool) -> bool:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, is_shared)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.close()
        return False
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    _reserved.setdefault(port, []).append(bound)
    return True
