"""Two processors and two ingresses are replaced one by one under load, by those of a version with a migration more.

`make rolling-upgrade BASE=<git reference>` does it from another tree and back, and behind HAProxy.
"""

from pathlib import Path
from random import Random

from tests.faults.run.history import History
from tests.rolling.judge import judge
from tests.rolling.trees import head, with_a_migration
from tests.rolling.upgrade import Upgrade
from tests.support.system import System


async def test_given_load_when_all_are_replaced_by_a_newer_version_then_no_caller_sees_it(
    fragile: System, tmp_path: Path
) -> None:
    newer = with_a_migration(tmp_path / "newer")
    with History(tmp_path / "history.jsonl", fragile.partitions) as history:
        upgrade = Upgrade(fragile, history, Random(), clients=8, own_balancer=True)
        await upgrade.run(head(), newer, back=False)
    found = await judge(fragile, tmp_path / "history.jsonl", newer)
    print(found.line(), *found.details, sep="\n")
    assert {} == found.errors
    assert found.is_clean
    assert {("processor-0", 0), ("processor-1", 0), ("ingress-0", 0), ("ingress-1", 0)} <= set(fragile.ended)
