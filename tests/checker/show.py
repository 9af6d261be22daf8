"""What a failed check prints: the findings, and the shortest history among the allocations that they are about."""

from collections.abc import Iterator
from typing import Final

from tests.checker.findings import Finding, Findings
from tests.checker.store import Row, Store

LINES_MAX: Final = 80

HISTORY: Final = """
    SELECT start AS at, printf(
        '%9.3f s  call   %-8s %-12s %s', start, verb, kind, coalesce('begun; command ' || command_id, 'begun')
    )
    FROM call WHERE id = :id
    UNION ALL
    SELECT "end", printf(
        '%9.3f s  answer %-8s %-12s %s %s %s', "end", verb, kind, coalesce(status, 'none'), coalesce(word, ''),
        coalesce('at ' || partition || '/' || "offset" || ' version ' || coalesce(version, '-'), '')
    )
    FROM call WHERE id = :id AND "end" IS NOT NULL
    ORDER BY at
"""
LOG: Final = """
    SELECT printf(
        '%d/%d  %-8s %-12s %s  journal: %s %s, then %s version %s',
        partition, "offset", r.verb, r.kind, r.command_id,
        coalesce(j.outcome, 'nothing'), coalesce(j.reason, ''), coalesce(j.status, 'nothing'), coalesce(j.version, '-')
    )
    FROM record r LEFT JOIN journal j USING (partition, "offset") WHERE r.id = :id ORDER BY partition, "offset"
"""
EVENTS: Final = """
    SELECT printf('%d/%d  %s %s version %d, of the command at %d', partition, "offset", kind, status, version, source)
    FROM event WHERE id = :id ORDER BY partition, "offset"
"""
ROW: Final = "SELECT printf('%s %s version %d  %s', kind, status, version, content) FROM allocation WHERE id = :id"


def lines(findings: Findings, store: Store) -> Iterator[str]:
    for finding in findings.examples:
        yield f"{finding.verdict}: {finding.subject}: {finding.words}"
    sized = [(size, finding) for finding in findings.examples if (size := _size(store, finding)) > 0]
    if sized:
        _, shortest = min(sized, key=lambda each: each[0])
        yield from history(store, shortest)


def history(store: Store, finding: Finding) -> Iterator[str]:
    yield f"\nThe shortest history of an allocation concerned, {finding.subject} ({finding.verdict}: {finding.words}):"
    for title, statement in (("calls", HISTORY), ("log", LOG), ("events", EVENTS), ("row", ROW)):
        rows: list[Row] = list(store.rows(statement, id=finding.subject))
        yield f"  {title}:"
        yield from (f"    {row[-1]}" for row in rows[:LINES_MAX])
        if len(rows) > LINES_MAX:
            yield f"    and {len(rows) - LINES_MAX} more"


def _size(store: Store, finding: Finding) -> int:
    [(size,)] = store.rows(
        "SELECT (SELECT count(*) FROM call WHERE id = :id) + (SELECT count(*) FROM record WHERE id = :id)",
        id=finding.subject,
    )
    return int(size)
