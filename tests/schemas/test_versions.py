"""The commands of a schema version do not change: a processor parks what has a field that it does not know.

A version with other commands has a number of its own: then a processor that is too old halts its partition, visibly,
until a newer one takes it (docs/upgrades.md).
"""

import json
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from schemas.commands import COMMAND_SCHEMA_VERSION, AnyCommand

FILE: Final = Path(__file__).parent.parent / "golden" / f"commands-{COMMAND_SCHEMA_VERSION}.schema.json"
ADVICE: Final = (
    "A field or a word more is another version: raise COMMAND_SCHEMA_VERSION, let `schema_version` be one of both, "
    "write the lowest version that can say it, and put the new schema beside the old one"
)


def test_given_a_version_then_its_commands_are_as_they_were() -> None:
    schema = TypeAdapter(AnyCommand).json_schema()
    now = json.loads(json.dumps(schema, sort_keys=True))
    if not FILE.exists():
        print(json.dumps(schema, indent=1, sort_keys=True))
    assert FILE.exists(), f"{FILE.name} is not there: it is what was printed. {ADVICE}"
    assert _without_words(json.loads(FILE.read_text())) == _without_words(now), ADVICE


def _without_words(document: object) -> object:
    """What is accepted, and not what is said about it."""
    if isinstance(document, dict):
        said = {key for key in ("description", "title") if isinstance(document.get(key), str)}
        return {key: _without_words(value) for key, value in document.items() if key not in said}
    return [_without_words(each) for each in document] if isinstance(document, list) else document
