"""Rights for a processor and an ingress whose roles in Postgres own nothing (record 0025)."""

from collections.abc import Mapping
from typing import Final, Literal, LiteralString

import psycopg

from service.errors import OperatorError
from service.postgres import readable

_GRANTS: Final[Mapping[str, LiteralString]] = {
    "processor": "SELECT grant_to_processor(%s)",
    "ingress": "SELECT grant_to_ingress(%s)",
}


def grant(address: str, part: Literal["processor", "ingress"], role: str) -> None:
    """Give a role what a processor or an ingress needs. Raises OperatorError when there is no such role, or the
    address's own role does not own the tables.
    """
    with psycopg.connect(readable(address), autocommit=True, application_name="allocations-migrate") as connection:
        try:
            connection.execute(_GRANTS[part], (role,))
        except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege) as error:
            words = error.diag.message_primary
            raise OperatorError(f"{role} can not be given the rights of the {part}: {words}") from None
