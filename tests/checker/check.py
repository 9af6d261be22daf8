"""The whole check of what one run left behind."""

from collections.abc import Iterable, Mapping, Sequence

from tests.checker.accounts import accounts, note
from tests.checker.answers import answers
from tests.checker.cluster import clusters
from tests.checker.dead_letters import dead_letters
from tests.checker.findings import Findings, Verdict
from tests.checker.store import Row, Store
from tests.checker.walk import walk

TOGETHER = 5000


def check(
    store: Store,
    findings: Findings,
    *,
    limits: Mapping[str, int] | None = None,
    wrong_clocks: Sequence[tuple[float, float]] = (),
) -> None:
    """Add to `findings` what is found in `store`, whose rows are all loaded.

    `limits`: the most that a reserve may ask for, by currency. `wrong_clocks`: when an ingress had another time.
    """
    store.index()
    effects: list[Row] = []
    for cluster in clusters(store):
        for said in (walk(cluster, limits or {}), answers(cluster)):
            for verdict, words in said:
                findings.add(verdict, cluster.id, words)
        effects.extend(note(cluster))
        if len(effects) > TOGETHER:
            store.insert("effect", effects)
            effects.clear()
    store.insert("effect", effects)
    accounts(store, findings)
    _events_in_journal_order(store, findings)
    _tokens(store, findings, wrong_clocks)
    dead_letters(store, findings)


def _events_in_journal_order(store: Store, findings: Findings) -> None:
    partition, last = -1, -1
    for at, offset, source in store.rows('SELECT partition, "offset", source FROM event ORDER BY partition, "offset"'):
        if at == partition and source <= last:
            findings.add(
                Verdict.EVENT, f"events {at}/{offset}", f"the event of {at}/{source} follows that of {at}/{last}"
            )
        partition, last = at, source


def _tokens(store: Store, findings: Findings, wrong_clocks: Iterable[tuple[float, float]]) -> None:
    """A token counts once: of the calls with it, one at most was let in. One that was sent once was not refused."""
    let_in = "status <> 401 AND (status <> 503 OR command_id IS NOT NULL)"
    for jti, times, identifier in store.rows(
        f"SELECT jti, count(*), min(id) FROM call WHERE jti IS NOT NULL AND {let_in} GROUP BY jti HAVING count(*) > 1"  # noqa: S608
    ):
        findings.add(Verdict.TOKEN, identifier, f"token {jti} was let in {times} times")
    for identifier, jti, start, end in store.rows(
        'SELECT id, jti, start, "end" FROM call WHERE status = 401 AND shared = 0'
    ):
        if not any(begin <= end and start <= over for begin, over in wrong_clocks):
            findings.add(Verdict.TOKEN, identifier, f"the fresh token {jti} was refused")
