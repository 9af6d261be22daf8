"""A database without any migration, and folders of migrations."""

import uuid
from collections.abc import Iterator

import pytest

from tests.support.servers import Servers


@pytest.fixture
def bare_url(servers: Servers) -> Iterator[str]:
    """An empty database of the test's own."""
    name = f"bare_{uuid.uuid4().hex}"
    servers.execute(f"CREATE DATABASE {name}")
    yield servers.database_url(name)
    servers.drop(name)
