"""Settings of Kafka that look right and are not."""

import pytest
from pydantic import ValidationError

from processor.domain.batch import Batch, Record
from processor.kafka.batcher import Batcher
from processor.kafka.faust_app import faust_app
from processor.settings import ProcessorSettings
from service.errors import EXIT_OPERATOR
from service.health import Health
from tests.support.cli import run


def processor(brokers: str) -> ProcessorSettings:
    return ProcessorSettings(
        kafka_bootstrap_servers=brokers,
        postgres_url="postgresql://",  # type: ignore[arg-type]
        instance_id="one",
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("h1:9092,", "h1:9092"),
        (",h1:9092, h2:9093 ,", "h1:9092,h2:9093"),
        ("h1", "h1"),
        ("[::1]:9092", "[::1]:9092"),
    ],
)
async def test_empty_entries_among_the_brokers_are_dropped(given: str, expected: str) -> None:
    settings = processor(given)
    assert expected == settings.kafka_options()["bootstrap_servers"]
    app = faust_app(settings, Batcher("commands", _never, _never, Health()), _never, Health())  # type: ignore[arg-type]
    assert [f"aiokafka://{each}" for each in expected.split(",")] == [str(url) for url in app.conf.broker]


async def _never(_records: list[Record], _following: list[Record]) -> Batch:
    raise AssertionError


@pytest.mark.parametrize(
    "given", ["", ",", " , ", ":9092", "h1:", "h1:port", "h1:0", "h1:65536", "PLAINTEXT://h1:9092", "h1:9092;h2:9092"]
)
def test_what_names_no_broker_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match="must be host:port of one or more brokers"):
        processor(given)


@pytest.mark.parametrize("verb", ["INGRESS", "PROCESSOR"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"KAFKA_SASL_USERNAME": "u"},
        {"KAFKA_SASL_PASSWORD": "hunter2hunter2"},
        {"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": ""},
    ],
    ids=" ".join,
)
async def test_sasl_without_user_or_password(settings: dict[str, str], verb: str, given: dict[str, str]) -> None:
    own = {f"{verb}_{name}": value for name, value in (given | {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"}).items()}
    ran = await run(verb.lower(), **settings | own)
    assert EXIT_OPERATOR == ran.status
    assert "it needs kafka_sasl_username and kafka_sasl_password" in ran.err
    assert "hunter2" not in ran.out + ran.err
