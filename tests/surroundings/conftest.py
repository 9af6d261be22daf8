"""Settings of processes that are to say what is wrong before they look for any server."""

from pathlib import Path

import pytest

from local.credentials import development_key

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """A complete environment of an ingress and of a processor, of servers that are not there."""
    _, public = development_key(tmp_path)
    common = {"POSTGRES_URL": f"postgresql://u:hunter2hunter2@{NOWHERE}/d", "KAFKA_BOOTSTRAP_SERVERS": NOWHERE}
    return {f"{verb}_{name}": value for verb in ("INGRESS", "PROCESSOR") for name, value in common.items()} | {
        "PROCESSOR_INSTANCE_ID": "one",
        "INGRESS_ENTERPRISE_ID": "e",
        "INGRESS_BITGO_PUBLIC_KEY_FILES": str(public),
    }
