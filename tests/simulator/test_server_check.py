"""What `check_settlements` finds when the file was tampered with."""

from pathlib import Path

import pytest

from bitgo.simulator.settlements_check import check_settlements
from tests.support.bitgo_desk import open_desk, settlement

CUTOFF = "2026-08-11T12:00:00.000Z"


@pytest.mark.parametrize(("damage", "finding"), [
    ("DELETE FROM movements WHERE cause = 'settlement'", "due to"),
    ("UPDATE movements SET available = '6' WHERE cause = 'settlement'", "6 moved"),
    ("UPDATE movements SET held = '1' WHERE cause = 'settlement'", "moved what is held"),
    ("UPDATE settlement_transfers SET quantity = '7' WHERE status = 'completed'", "7 BTC due"),
    ("UPDATE settlement_transfers SET status = 'pending' WHERE status = 'completed'", "of its transfers pending"),
    ("UPDATE settlement_transfers SET status = 'completed' WHERE status = 'pending'", "of its transfers completed"),
    ("DELETE FROM settlement_transfers WHERE status = 'pending'", "has no transfers"),
    ("UPDATE settlements SET status = 'failed', reason = 'x', finalized_at = NULL WHERE version = 1", "is failed"),
    ("UPDATE disputes SET settled_in = settlement_id", "is settled in"),
])  # fmt: skip
async def test_damage_is_found(tmp_path: Path, damage: str, finding: str) -> None:
    async with open_desk(tmp_path / "ledger") as desk:
        connection = desk.connect()
        await desk.call("POST", "settlements", settlement({connection: {"BTC": "5"}}))
        disputed = await desk.call("POST", "v2/settlements", settlement({connection: {"BTC": "3"}}, cutoffAt=CUTOFF))
        path = f"settlements/{disputed.body['settlement']['id']}/disputes"
        dispute = (await desk.control("POST", path, {"connectionId": connection})).body["dispute"]
        await desk.finalize(disputed)
        await desk.control("POST", f"disputes/{dispute['id']}/close", {"transfers": {"BTC": "2"}})
        await desk.call("POST", "v2/settlements", settlement({connection: {"BTC": "1"}}, cutoffAt=CUTOFF))
        assert [] == check_settlements(desk.ledger)
        desk.ledger.database.execute("BEGIN")
        desk.ledger.database.execute(damage)
        found = check_settlements(desk.ledger)
        desk.ledger.database.execute("ROLLBACK")
        assert found
        assert any(finding in each for each in found), found
