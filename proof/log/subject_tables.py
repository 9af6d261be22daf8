"""The tables that have one row for each id: their columns, and how a row becomes a state and a state a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from processor.domain.adjustment import Adjustment
from processor.domain.connection import Connection
from processor.postgres.rows import (
    ALLOCATION_COLUMNS,
    adjustment_of_row,
    adjustment_row,
    allocation_row,
    connection_of_row,
    connection_row,
    state_of,
)


@dataclass(frozen=True)
class SubjectTable:
    """The first column is the id. `instants` are the columns that hold one, as text in a row."""

    name: str
    columns: tuple[str, ...]
    instants: tuple[str, ...]
    row_of: Callable[[Any], dict[str, Any]]
    state_of: Callable[[Mapping[str, Any]], Any]


ALLOCATIONS: Final = SubjectTable(
    "allocation", ALLOCATION_COLUMNS, ("created_at", "updated_at", "reissued_at"), allocation_row, state_of
)
CONNECTIONS: Final = SubjectTable(
    "connection", Connection._fields, ("created_at", "updated_at"), connection_row, connection_of_row
)
ADJUSTMENTS: Final = SubjectTable("adjustment", Adjustment._fields, ("created_at",), adjustment_row, adjustment_of_row)
SUBJECT_TABLES: Final = (ALLOCATIONS, CONNECTIONS, ADJUSTMENTS)
