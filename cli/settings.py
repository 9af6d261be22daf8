"""`allocations settings`: every setting of both processes, as the README has them."""

from collections.abc import Iterator
from typing import Any

import click
from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ingress.settings import IngressSettings
from processor.settings import ProcessorSettings
from service.settings import ServiceSettings


@click.command()
def settings() -> None:
    """List every setting: the environment variable, its default, and what it is for. A Markdown table."""
    click.echo(table())


def table() -> str:
    """The settings of both processes; what they share is listed once, with both prefixes."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    rows += _rows(ServiceSettings, "`INGRESS_{0}`, `PROCESSOR_{0}`", set())
    shared = set(ServiceSettings.model_fields)
    rows += _rows(IngressSettings, "`INGRESS_{0}`", shared)
    rows += _rows(ProcessorSettings, "`PROCESSOR_{0}`", shared)
    return "\n".join(rows)


def _rows(model: type[ServiceSettings], names: str, known: set[str]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if name not in known:
            yield f"| {names.format(name.upper())} | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr):
        return "unset"
    if value in ("", ()):
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
