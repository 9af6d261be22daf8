"""Changes to JSON that keep it JSON, so that a search gets behind the parser; every other time, changes to bytes."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

LITERALS = [
    *("null", "true", "0", "-0", "-1", "1.0", "1e21", "1.5e+21", "1e999999999", "1e-5", "9" * 78, "9" * 79, "9" * 200),
    *("NaN", "Infinity", "[]", "{}", "[[[[]]]]", '""', '" "', '"\\u0000"', '"\\ud800"', '"\\u0085"', '"\\u202e"'),
    *('"1"', '"01"', '"1e21"', '"\\u0661"', '"BTC"', '"number"', '"string"', '"partner"', '"reissue"', '"RS256"'),
    *('"none"', '"HS256"', '"2026-11-21T12:00:00Z"', '"2026-11-21T12:00:00"', '"9999-12-31T23:59:59.999999-23:59"'),
    *('"0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22"', '"0B0E4A5E-2C56-4A3C-9F2E-6A7D3F8B1C22"', '"' + "x" * 257 + '"'),
]
NAMES = ["partnersAllocationId", "partnersClientId", "deallocationId", "schemaVersion", "notes", "kid", "crit", "b64"]


def mutate(data: bytes, max_size: int, seed: int, plain: Callable[[bytes, int], bytes]) -> bytes:
    """One change to the first JSON object in `data`, or what `plain` does when there is none or chance says so."""
    chance = random.Random(seed)
    start, end = data.find(b"{"), data.rfind(b"}") + 1
    try:
        document = json.loads(data[start:end])
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or chance.random() < 0.4:
        return plain(data, max_size)
    return (data[:start] + _changed(document, chance) + data[end:])[:max_size]


def _changed(document: dict[str, Any], chance: random.Random) -> bytes:
    places = list(_places(document)) or [(document, "")]
    inside, name = chance.choice(places)
    value = inside.pop(name, None)
    what = chance.randrange(4)
    if what == 0:
        inside[chance.choice(NAMES)] = value
    elif what > 1:
        inside[name] = "PLACE"
    return json.dumps(document).replace('"PLACE"', chance.choice(LITERALS)).encode()


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of every object, with the object."""
    if isinstance(document, dict):
        for name, value in document.items():
            yield document, name
            yield from _places(value)
