"""The secured broker and a Postgres, for the tests of a file."""

from collections.abc import AsyncIterator

import pytest

from tests.brokers.secured import SecuredKafka, secured_kafka
from tests.support.own_postgres import own_postgres
from tests.support.servers import Servers


@pytest.fixture(scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SecuredKafka]:
    async with secured_kafka(tmp_path_factory.mktemp("secured")) as kafka:
        yield kafka


@pytest.fixture(scope="module")
async def beside(secured: SecuredKafka, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Servers]:
    async with own_postgres(tmp_path_factory.mktemp("own")) as postgres:
        yield Servers("embedded", secured.bootstrap, postgres.superuser_url)
