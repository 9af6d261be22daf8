"""What the Postgres role of a process may do: what it lacks, and what it should not have."""

from collections.abc import Mapping
from typing import Any, Final

from cli.doctor.finding import Finding, fail, ok, warn
from ingress.settings import IngressSettings
from service.postgres import connect
from service.settings import ServiceSettings
from service.sql import statements

CHECK: Final = "postgres rights"

S, I, U, D = "SELECT", "INSERT", "UPDATE", "DELETE"  # noqa: E741
_READ_BY_BOTH: Final = (
    *("_yoyo_migration", "log_identity", "watermark", "journal", "dead_letter", "allocation", "account"),
    *("adjustment", "platform_account", "connection", "notification_channel"),
)

OF_INGRESS: Final[dict[str, tuple[str, ...]]] = dict.fromkeys(_READ_BY_BOTH, (S,)) | {
    "ledger": (S,),
    "token_claim": (S, I, D),
    "connection_token": (S, I, U, D),
}
OF_PROCESSOR: Final[dict[str, tuple[str, ...]]] = {
    "_yoyo_migration": (S,),
    "notification_channel": (S,),
    "dead_letter_action": (S, I, U),
    "log_identity": (S, I),
    "watermark": (S, I, U),
    "journal": (S, I),
    "ledger": (S, I),
    "dead_letter": (S, I),
    "adjustment": (S, I),
    "allocation": (S, I, U),
    "account": (S, I, U),
    "platform_account": (S, I, U),
    "connection": (S, I, U),
    "daily_usage": (S, I, U),
}

_SQL: Final = statements("cli.doctor")


async def check(settings: ServiceSettings) -> list[Finding]:
    needed = OF_INGRESS if isinstance(settings, IngressSettings) else OF_PROCESSOR
    names = sorted(OF_INGRESS | OF_PROCESSOR)
    async with await connect(settings, "allocations-checks") as connection:
        granted = await (await connection.execute(_SQL["granted"], {"tables": names})).fetchall()
        role: Any = await (await connection.execute(_SQL["role"], {"tables": names})).fetchone()
    found = _lacks(needed, granted)
    is_mighty, owned = role
    if is_mighty:
        found.append(warn(CHECK, "this role is a superuser, or may make roles", "a role of its own that is neither"))
    elif owned:
        found.append(
            warn(
                CHECK,
                f"this role owns {owned} of the tables: it may alter and drop them",
                "another owner; rights by GRANT",
            )
        )
    elif more := sorted({table for table, right, has in granted if has and right not in (*needed.get(table, ()), S)}):
        found.append(warn(CHECK, f"this role may also write {', '.join(more)}", "REVOKE what it does not need"))
    return found or [ok(CHECK, "exactly those that are needed")]


def _lacks(needed: Mapping[str, tuple[str, ...]], granted: list[Any]) -> list[Finding]:
    missing: dict[str, list[str]] = {}
    for table, right, has in granted:
        if not has and right in needed.get(table, ()):
            missing.setdefault(table, []).append(right)
    return [
        fail(CHECK, f"this role lacks {', '.join(rights)} on {table}", f"GRANT {', '.join(rights)} ON {table} TO it")
        for table, rights in sorted(missing.items())
    ]
