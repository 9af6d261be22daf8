"""What processes of an older version lean on in a database, and what a migration has taken from them.

It is read from Postgres's catalog before and after, so that no spelling of a statement is missed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, LiteralString

import psycopg

QUERIES: Final[dict[str, LiteralString]] = {
    "table": """
        SELECT c.relname, c.relfilenode::text FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE '%yoyo%'
    """,
    "column": """
        SELECT
            c.relname || '.' || a.attname,
            format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname NOT LIKE '%yoyo%'
            AND a.attnum > 0 AND NOT a.attisdropped
    """,
    "constraint": """
        SELECT conrelid::regclass || ' ' || conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND contype <> 'n' AND conrelid::regclass::text NOT LIKE '%yoyo%'
    """,
    "index": """
        SELECT i.indexrelid::regclass::text || ' on ' || i.indrelid::regclass, i.indisvalid::text
        FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'public'::regnamespace AND c.relname NOT LIKE '%yoyo%'
    """,
    "trigger": """
        SELECT tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
    """,
    "routine": """
        SELECT p.oid::regprocedure::text, format('%s %s', p.prokind, pg_get_function_result(p.oid)) FROM pg_proc p
        WHERE p.pronamespace = 'public'::regnamespace
    """,
    "right": """
        SELECT
            format(
                '%s on %s to %s',
                privilege_type, name, CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE grantee::regrole::text END
            ),
            ''
        FROM (
            SELECT relname::text AS name, coalesce(relacl, acldefault('r', relowner)) AS acl
            FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v')
            UNION ALL
            SELECT oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner))
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            UNION ALL
            SELECT 'schema public', coalesce(nspacl, acldefault('n', nspowner))
            FROM pg_namespace WHERE nspname = 'public'
        ) AS objects, aclexplode(acl)
    """,
}

Catalog = Mapping[str, Mapping[str, str]]
"""Of each kind: what there is, by name."""


def catalog(connection: psycopg.Connection[Any]) -> Catalog:
    return {kind: dict(connection.execute(query).fetchall()) for kind, query in QUERIES.items()}


@dataclass(frozen=True, order=True)
class Break:
    """What a running process of an older version would notice."""

    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.what}: {self.name}"


def breaks(before: Catalog, after: Catalog, *, is_transactional: bool = True) -> list[Break]:
    """What a migration did that it must not do beside running processes (record 0002), sorted."""
    return sorted({*_taken(before, after), *_changed(before, after), *_added(before, after, is_transactional)})


def _taken(before: Catalog, after: Catalog) -> Iterator[Break]:
    for kind in ("table", "column", "routine", "index", "right"):
        for name in before[kind].keys() - after[kind].keys():
            if kind in ("table", "routine") or not _is_of_a_taken_table(kind, name, before, after):
                yield Break(f"{kind} dropped or renamed", name)


def _is_of_a_taken_table(kind: str, name: str, before: Catalog, after: Catalog) -> bool:
    """Said once, for the table."""
    of_what = name.partition(".")[0] if kind == "column" else name.rpartition(" on ")[2]
    found = of_what.partition(" to ")[0]
    return any(found in before[each] and found not in after[each] for each in ("table", "routine"))


def _changed(before: Catalog, after: Catalog) -> Iterator[Break]:
    for kind, what in (("column", "type or NOT NULL changed"), ("routine", "result changed")):
        for name in before[kind].keys() & after[kind].keys():
            if before[kind][name] != after[kind][name]:
                yield Break(f"{kind}'s {what}", f"{name}: {before[kind][name]} → {after[kind][name]}")
    for name in before["table"].keys() & after["table"].keys():
        if before["table"][name] != after["table"][name]:
            yield Break("table rewritten under an exclusive lock", name)
    for name in before["constraint"].keys() & after["constraint"].keys():
        if before["constraint"][name].removesuffix(" NOT VALID") != after["constraint"][name]:
            yield Break("constraint changed", name)


def _added(before: Catalog, after: Catalog, is_transactional: bool) -> Iterator[Break]:  # noqa: FBT001
    """To what was there before; a new table may have whatever it likes."""
    for name in after["column"].keys() - before["column"].keys():
        if name.partition(".")[0] in before["table"] and after["column"][name].endswith(" NOT NULL"):
            yield Break("column that older processes do not fill, and must not be null", name)
    for kind in ("constraint", "trigger"):
        for name in after[kind].keys() - before[kind].keys():
            if name.partition(" ")[0] in before["table"]:
                yield Break(f"{kind} that older processes do not know", name)
    for name in after["index"].keys() - before["index"].keys():
        if is_transactional and name.rpartition(" on ")[2] in before["table"]:
            yield Break("index built while all writers wait", name)
