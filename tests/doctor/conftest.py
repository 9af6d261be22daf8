"""A Kafka with an authorizer and a Postgres with two roles of least rights, as in production; and the command."""

import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from cli.doctor.postgres_rights import OF_INGRESS, OF_PROCESSOR
from local.credentials import development_key, operator_token
from schemas.topics import Topics
from service.migrations import migrate
from service.settings import ServiceSettings
from service.topics import ensure_topics
from tests.support.cli import run
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.surroundings.rights import GuardedKafka, Right, guarded_kafka, ingress_rights, processor_rights

PASSWORD = "hunter2hunter2"


@dataclass(frozen=True)
class Looked:
    """What the command said, and its exit status."""

    status: int
    rows: list[dict[str, Any]]

    def said(self, verdict: str, check: str) -> str:
        """All that was found with this verdict by this check, with what to do."""
        chosen = [row for row in self.rows if (row["verdict"], row["check"]) == (verdict, check)]
        return "\n".join(f"{', '.join(row['processes'])}: {row['found']} → {row['remedy']}" for row in chosen)

    @property
    def failing(self) -> set[str]:
        return {row["check"] for row in self.rows if row["verdict"] == "fail"}


async def look(**environment: str) -> Looked:
    ran = await run("doctor", "--production", "--json", **environment)
    assert "hunter2" not in ran.out + ran.err
    return Looked(ran.status, json.loads(ran.out)["findings"])


@dataclass
class Place:
    """`prefix` is of topics and of a database of its own; `environment` is of both processes, and all is well."""

    kafka: GuardedKafka
    postgres: OwnPostgres
    folder: Path
    prefix: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:8]}.")

    @property
    def database(self) -> str:
        return f"d{self.prefix[1:-1]}"

    @property
    def topics(self) -> Topics:
        return Topics(self.prefix)

    @property
    def settings(self) -> ServiceSettings:
        return ServiceSettings(
            kafka_bootstrap_servers=self.kafka.bootstrap,
            postgres_url=self.url("postgres"),
            topic_prefix=self.prefix,  # type: ignore[arg-type]
        )

    def url(self, role: str) -> str:
        whole = self.postgres.superuser_url.rpartition("/")[0] + f"/{self.database}"
        if role == "postgres":
            return whole
        return f"postgresql://{role}:{PASSWORD}@{whole.rpartition('@')[2]}"

    def execute(self, *statements: str, database: str | None = None) -> None:
        url = self.url("postgres") if database is None else self.postgres.superuser_url
        with psycopg.connect(url, autocommit=True) as connection:
            for each in statements:
                connection.execute(each.encode())

    async def prepare(self) -> None:
        self.execute(f"CREATE DATABASE {self.database}", database="postgres")
        migrate(self.url("postgres"))
        for role, tables in (("ingress", OF_INGRESS), ("processor", OF_PROCESSOR)):
            self.execute(*(f"GRANT {', '.join(rights)} ON {table} TO {role}" for table, rights in tables.items()))
        await ensure_topics(self.settings, 2, replication=1)
        await self.grant("ingress", ingress_rights(self.topics))
        await self.grant("processor", processor_rights(self.topics, f"{self.prefix}group"))

    async def grant(self, user: str, rights: list[Right]) -> None:
        await self.kafka.grant(user, rights)

    @property
    def environment(self) -> dict[str, str]:
        _, public = development_key(self.folder)
        _, tokens = operator_token(self.folder)
        own = {
            "INGRESS_ENTERPRISE_ID": "enterprise",
            "INGRESS_BITGO_PUBLIC_KEY_FILES": str(public),
            "INGRESS_OPERATOR_TOKENS_FILE": str(tokens),
            "INGRESS_DRAIN_SECONDS": "5",
            "PROCESSOR_INSTANCE_ID": "one",
            "PROCESSOR_GROUP_ID": f"{self.prefix}group",
            "PROCESSOR_CURRENCIES": '["BTC"]',
        }
        for user in ("ingress", "processor"):
            common = self.kafka.settings(user) | {
                "postgres_url": self.url(user),
                "topic_prefix": self.prefix,
                "metrics_port": "9090",
            }
            own |= {f"{user}_{name}".upper(): value for name, value in common.items()}
        return own

    async def look(self, **changed: str) -> Looked:
        return await look(**self.environment | changed)


@pytest.fixture(scope="session")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[GuardedKafka, OwnPostgres]]:
    folder = tmp_path_factory.mktemp("doctor")
    async with guarded_kafka(folder / "kafka") as kafka, own_postgres(folder / "own") as postgres:
        with psycopg.connect(postgres.superuser_url, autocommit=True) as connection:
            for role in ("ingress", "processor"):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'".encode())
        yield kafka, postgres


@pytest.fixture
async def place(guarded: tuple[GuardedKafka, OwnPostgres], tmp_path: Path) -> Place:
    made = Place(*guarded, tmp_path)
    await made.prepare()
    return made


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("INGRESS_", "PROCESSOR_")):
            monkeypatch.delenv(name)
