"""Gaps in the sequences of accounts, as a rebuild finds them in the journal, however long that is."""

import tracemalloc
import uuid
from datetime import date

import psycopg

from processor.domain.account import Account
from processor.domain.connection import PlatformAccount
from processor.domain.policy import PolicySettings
from processor.domain.usage import Usage, UsageKey
from proof.log.snapshot import PATIENT
from proof.rebuild.missing_decisions import load_gaps
from schemas.words import Kind, Scope
from service.postgres import connect
from service.settings import ServiceSettings
from tests.proof.test_checkpoint_file import Steps

OWNER = str(uuid.UUID(int=1))
SUM = UsageKey(Scope.CLIENT, OWNER, Kind.DEALLOCATION, "BTC", date(2026, 11, 21))
DECISIONS = 10_000
MEMORY_BYTES = 1_000_000
"""All decisions, as rows, take seven times that."""
HISTORY = """
    INSERT INTO account VALUES (%(owner)s, 'BTC', %(decisions)s, 99, 11);
    INSERT INTO journal (
        partition, "offset", command_id, subject_id, kind, verb, outcome, event, facts, recorded_at, hash
    )
    SELECT
        CASE sequence WHEN 3 THEN 2 ELSE sequence %% 2 END, sequence, gen_random_uuid(), gen_random_uuid(),
        'deallocation', 'reserve', 'applied', '{"event": "DeallocationReserved", "amount": {"quantity": "1"}}',
        jsonb_build_object(
            'account', jsonb_build_object(
                'connectionId', %(owner)s::text, 'currency', 'BTC', 'sequence', sequence,
                'availableBefore', '100', 'heldBefore', '10'
            ),
            'platformAccount', jsonb_build_object(
                'partnersConnectionId', 'account-7', 'sequence', sequence, 'connectedBefore', null
            ),
            'usage', jsonb_build_array(jsonb_build_object(
                'scope', 'client', 'id', %(owner)s::text, 'kind', 'deallocation', 'currency', 'BTC',
                'day', '2026-11-21', 'sequence', sequence, 'totalBefore', '7'
            ))
        ),
        now(), sha256('')
    FROM generate_series(1, %(decisions)s) AS sequence
    WHERE sequence NOT IN (5, 6);
    INSERT INTO ledger SELECT partition, "offset", %(owner)s, 'BTC', "offset", 'available', 'held', 1 FROM journal
"""
"""On partitions 0 and 1, and one decision on 2. That all of them are of one account of each kind, no history has."""


async def test_a_gap_is_found_without_holding_what_is_around_it(database_url: str) -> None:
    with psycopg.connect(database_url, cursor_factory=psycopg.ClientCursor) as filling:
        filling.execute(HISTORY, {"owner": OWNER, "decisions": DECISIONS})
    settings = ServiceSettings(kafka_bootstrap_servers="127.0.0.1:1", postgres_url=database_url)
    async with await connect(settings, "test", PATIENT) as connection:
        tracemalloc.start()
        try:
            gaps = await load_gaps(connection, PolicySettings(), None, Steps())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert {
        (OWNER, "BTC"): (Account(OWNER, "BTC", 4, 99, 11), Account(OWNER, "BTC", 6, 100, 10)),
        "account-7": (PlatformAccount("account-7", 4), PlatformAccount("account-7", 6)),
        SUM: (Usage(SUM, 4, 8), Usage(SUM, 6, 7)),
    } == {key: (gap.account, gap.then) for key, [gap] in gaps._gaps.items()}
    assert {frozenset({0, 1})} == {gap.ahead for [gap] in gaps._gaps.values()}
    assert peak < MEMORY_BYTES
