"""What operators ask is found by an index, whatever the history is: nobody's read goes through all of it."""

import uuid
from typing import Any

import psycopg
import pytest

from service.postgres import Connection, connect
from service.settings import ServiceSettings
from service.sql import statements

HOT = "aaaaaaaa-1111-4111-8111-111111111111"
ROWS = 20_000
FILL = (
    """
    INSERT INTO allocation (
        allocation_id, kind, status, version, currency, quantity, client_id, connection_id, partners_connection_id,
        created_at, updated_at
    )
    SELECT gen_random_uuid(), 'deallocation', CASE WHEN n <= 3 OR n %% 4 = 0 THEN 'reserved' ELSE 'cleared' END, 1,
        'BTC', 5, gen_random_uuid(), CASE WHEN n %% 4 = 0 THEN gen_random_uuid() ELSE %(hot)s::uuid END, 'account',
        now() - n * interval '1 second', now() - n * interval '1 second'
    FROM generate_series(1, %(rows)s) AS n
    """,
    """
    INSERT INTO journal (
        partition, "offset", command_id, subject_id, kind, verb, outcome, event, facts, recorded_at, hash
    )
    SELECT 0, n, gen_random_uuid(), CASE WHEN n %% 2 = 0 THEN %(hot)s::uuid ELSE gen_random_uuid() END, 'deallocation',
        'clear', 'applied', '{}',
        jsonb_build_object('account', jsonb_build_object(
            'connectionId', %(hot)s::text, 'currency', 'BTC', 'availableBefore', '0', 'heldBefore', '5'
        )),
        now(), sha256('')
    FROM generate_series(1, %(rows)s) AS n
    """,
    "INSERT INTO account (connection_id, currency) VALUES (%(hot)s, 'BTC')",
    """
    INSERT INTO ledger (partition, "offset", connection_id, currency, sequence, debit, credit, quantity)
    SELECT 0, n, %(hot)s, 'BTC', n, 'held', 'custody', 5
    FROM generate_series(1, %(rows)s) AS n
    """,
    "INSERT INTO watermark (partition, next_offset, hash) VALUES (0, %(rows)s + 1, sha256(''))",
    "VACUUM ANALYZE",
)
ASKED: list[tuple[str, str, dict[str, Any]]] = [
    (
        "platform_accounts",
        "allocation_open",
        {"connection_id": HOT, "after": None, "open_holds": True, "holds_max": 200, "limit": 501},
    ),
    (
        "platform_ledger",
        "ledger_by_account",
        {"connection_id": HOT, "currency": "BTC", "after": 15_000, "through": 2**63 - 1, "limit": 101, "skip": 0},
    ),
    (
        "platform_history",
        "journal_by_subject",
        {"id": HOT, "partition": 0, "kinds": ["allocation", "deallocation"], "after": 15_000, "limit": 101},
    ),
    (
        "platform_reservations",
        "allocation_reserved",
        {
            "kind": None,
            "connection_id": None,
            "older_than": 1,
            "after_instant": "0001-01-01T00:00:00Z",
            "after_id": str(uuid.UUID(int=0)),
            "limit": 101,
        },
    ),
]
PAGES_MAX = 800
"""Of 8 KiB: 101 rows and their joins; a scan of a table would read more."""


@pytest.fixture
async def filled(database_url: str) -> ServiceSettings:
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.encode(), {"hot": HOT, "rows": ROWS} if "%" in statement else None)
    return ServiceSettings(postgres_url=database_url)  # type: ignore[arg-type]


async def test_given_a_long_history_then_a_page_of_it_costs_a_page(filled: ServiceSettings) -> None:
    async with await connect(filled, "test") as connection:
        for statement, index, asked in ASKED:
            plan = await _plan(connection, statement, asked)
            assert index in plan, plan
            assert "Seq Scan on allocation" not in plan
            assert "Seq Scan on journal" not in plan
            assert "Seq Scan on ledger" not in plan
            [planned] = [line for line in plan.splitlines() if "Buffers" in line][:1]
            pages = sum(int(word.split("=")[1]) for word in planned.split() if word.startswith(("hit=", "read=")))
            assert pages < PAGES_MAX, f"{statement} reads {pages} pages\n{plan}"


async def _plan(connection: Connection, statement: str, asked: dict[str, Any]) -> str:
    text = b"EXPLAIN (ANALYZE, BUFFERS) " + statements("ingress.postgres")[statement]
    return "\n".join([row[0] async for row in await connection.execute(text, asked)])
