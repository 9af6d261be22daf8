"""Settings that do not fit the broker: each gets a sentence that says why, without a secret, and none a trace."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest
from pydantic import ValidationError

from processor.settings import ProcessorSettings
from service.errors import OperatorError
from service.failures import is_passing
from service.kafka import admin, describe
from tests.brokers.certificates import Authority
from tests.brokers.secured import SecuredKafka
from tests.brokers.tokens import SECRET
from tests.faults.run.proxy import Proxy

Change = Callable[[SecuredKafka, Path], dict[str, str]]


def configured(given: dict[str, str]) -> ProcessorSettings:
    return ProcessorSettings(**{"postgres_url": "postgresql://", "instance_id": "one"} | given)  # type: ignore[arg-type]


def oauth(provider: str) -> Change:
    return lambda kafka, _: kafka.sasl("OAUTHBEARER", kafka_token_provider=f"tests.brokers.tokens:{provider}")


def client_certificate(authority: str = "authority", **options: Any) -> Change:
    def change(kafka: SecuredKafka, folder: Path) -> dict[str, str]:
        signer = kafka.authority if authority == "authority" else Authority(folder, authority)
        certificate, key = signer.sign("client", **options)
        return kafka.tls("mutual", kafka_ssl_certificate_file=str(certificate), kafka_ssl_key_file=str(key))

    return change


def another_authority(kafka: SecuredKafka, folder: Path) -> dict[str, str]:
    return kafka.tls(kafka_ssl_ca_file=str(Authority(folder, "stranger").file))


def wrong_key_password(kafka: SecuredKafka, folder: Path) -> dict[str, str]:
    given = client_certificate(password="another one")(kafka, folder)
    return given | {"kafka_ssl_key_password": SECRET}


CASES: dict[str, tuple[Change, str]] = {
    "wrong password": (lambda kafka, _: kafka.sasl(kafka_sasl_password="wrong"), "SaslAuthenticationFailed"),
    "unknown user": (lambda kafka, _: kafka.sasl(kafka_sasl_username="nobody"), "SaslAuthenticationFailed"),
    "mechanism that is not offered": (lambda kafka, _: kafka.sasl("PLAIN"), "KAFKA_SASL_MECHANISM"),
    "no password file": (
        lambda kafka, folder: (
            {k: v for k, v in kafka.sasl().items() if k != "kafka_sasl_password"}
            | {"kafka_sasl_password_file": str(folder / "none")}
        ),
        "none can not be read: No such file",
    ),
    "no authority": (
        lambda kafka, _: {k: v for k, v in kafka.tls().items() if k != "kafka_ssl_ca_file"},
        "certificate is not accepted: self-signed|certificate is not accepted: unable to get local issuer",
    ),
    "another authority": (another_authority, "certificate is not accepted"),
    "no file of authorities": (
        lambda kafka, folder: kafka.tls(kafka_ssl_ca_file=str(folder / "none")),
        "files of KAFKA_SSL_.*none",
    ),
    "certificate of another host": (lambda kafka, _: kafka.tls("misnamed"), "certificate is not accepted: IP address"),
    "no client certificate": (lambda kafka, _: kafka.tls("mutual"), "KAFKA_SSL_CERTIFICATE_FILE"),
    "expired client certificate": (client_certificate(days=-1), "KAFKA_SSL_CERTIFICATE_FILE"),
    "client certificate of a stranger": (client_certificate("stranger"), "KAFKA_SSL_CERTIFICATE_FILE"),
    "wrong password of a key": (wrong_key_password, "KAFKA_SSL_KEY_PASSWORD is another key's"),
    "encrypted key without a password": (client_certificate(password="p"), "KAFKA_SSL_KEY_PASSWORD is another key's"),
    "plaintext to TLS": (
        lambda kafka, _: {"kafka_bootstrap_servers": kafka.at("tls")},
        "closed the connection at once: KAFKA_SECURITY_PROTOCOL",
    ),
    "TLS to plaintext": (
        lambda kafka, _: kafka.tls() | {"kafka_bootstrap_servers": kafka.bootstrap},
        "closed the connection at once: KAFKA_SECURITY_PROTOCOL|does it speak TLS",
    ),
    "no SASL to SASL": (lambda kafka, _: kafka.tls("sasl"), "does it ask for SASL there"),
    "SASL where there is none": (
        lambda kafka, _: kafka.sasl() | {"kafka_bootstrap_servers": kafka.at("tls")},
        "it does not offer KAFKA_SASL_MECHANISM there",
    ),
    "nobody listens": (lambda *_: {"kafka_bootstrap_servers": "127.0.0.1:1"}, "127.0.0.1:1: .*refused|Connect call"),
    "no such host": (lambda *_: {"kafka_bootstrap_servers": "nowhere.invalid:9092"}, "nowhere.invalid:9092: gaierror"),
    "advertised under a name that nobody knows": (
        lambda kafka, _: {"kafka_bootstrap_servers": kafka.at("elsewhere")},
        "nowhere.invalid:[0-9]+: gaierror",
    ),
    "expired token": (oauth("expired"), "the broker does not accept the token"),
    "provider that raises": (oauth("raises"), "tests.brokers.tokens:raises gave no token: PermissionError"),
    "provider that raises an error of Kafka's": (oauth("raises_kafka"), "gave no token: KafkaError"),
    "provider that gives nothing": (oauth("nothing"), "is no bearer token but NoneType"),
    "provider that gives too much": (oauth("two_lines"), "is no bearer token"),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES.keys())
async def test_what_does_not_fit_gets_a_sentence(
    secured: SecuredKafka, tmp_path: Path, change: Change, expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(KafkaError, match=expected) as refused:
        async with admin(configured(change(secured, tmp_path))) as client:
            await describe(client, ["commands"])
    print(refused.value)
    assert is_passing(refused.value), "it may be put right at any time"
    assert SECRET not in f"{refused.value!r}{caplog.text}"


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("tests.brokers.tokens:absent", "can not be imported: AttributeError"),
        ("no.such.module:token", "can not be imported: ModuleNotFoundError"),
        ("tests.brokers.tokens:NO_FUNCTION", "is no function"),
    ],
)
def test_a_provider_that_is_none_ends_the_process(secured: SecuredKafka, provider: str, expected: str) -> None:
    with pytest.raises(OperatorError, match=expected):
        configured(secured.sasl("OAUTHBEARER", kafka_token_provider=provider)).kafka_options()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"kafka_sasl_mechanism": "OAUTHBEARER"}, "it needs kafka_token_provider"),
        ({"kafka_sasl_mechanism": "GSSAPI"}, "Input should be 'PLAIN'"),
        ({"kafka_sasl_username": "u"}, "it needs kafka_sasl_username and kafka_sasl_password"),
        ({"kafka_token_provider": "module.function"}, "String should match pattern"),
        ({"kafka_sasl_extensions": "{"}, "must be JSON"),
        ({"kafka_sasl_extensions": '{"auth": "x"}'}, "must be a JSON object of names"),
        ({"kafka_sasl_extensions": '{"a\\u0001b": "x"}'}, "must be a JSON object of names"),
        (
            {"kafka_sasl_username": "u", "kafka_sasl_password": SECRET, "kafka_sasl_password_file": "/x"},
            "give one of them",
        ),
        (
            {
                "kafka_sasl_mechanism": "OAUTHBEARER",
                "kafka_token_provider": "m:f",
                "kafka_ssl_key_password": SECRET,
                "kafka_ssl_key_password_file": "/x",
            },
            "kafka_ssl_key_password and kafka_ssl_key_password_file: give one of them",
        ),
    ],
)
def test_settings_that_contradict_each_other(given: dict[str, str], expected: str) -> None:
    with pytest.raises(ValidationError, match=expected) as refused:
        configured({"kafka_security_protocol": "SASL_SSL"} | given)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("dead", ["127.0.0.1:1", "nowhere.invalid:9092"])
async def test_of_several_brokers_one_that_is_dead_is_passed_over(secured: SecuredKafka, dead: str) -> None:
    for brokers in (f"{dead},{secured.bootstrap}", f"{secured.bootstrap},{dead}"):
        async with admin(configured({"kafka_bootstrap_servers": brokers})) as client:
            assert {} == (await describe(client, ["none"])).topics


async def test_an_address_of_version_6_is_one(secured: SecuredKafka) -> None:
    async with admin(configured({"kafka_bootstrap_servers": secured.at("six", "[::1]")})) as client:
        assert {} == (await describe(client, ["none"])).topics


@contextmanager
def silent_address() -> Iterator[str]:
    """Connections to it are made, by the kernel, and nobody accepts them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


async def test_a_broker_that_says_nothing_is_given_up_soon() -> None:
    """Another process listens there, or the broker is suspended."""
    with silent_address() as where:
        begun = time.monotonic()
        with pytest.raises(KafkaConnectionError, match="no answer within 4 s"):
            async with admin(configured({"kafka_bootstrap_servers": where})):
                pass
        assert time.monotonic() - begun < 8


async def test_of_several_brokers_one_that_says_nothing_costs_its_time_once(secured: SecuredKafka) -> None:
    with silent_address() as where:
        settings = configured({"kafka_bootstrap_servers": f"{where},{secured.bootstrap}"})
        begun = time.monotonic()
        for _ in range(6):
            async with admin(settings) as client:
                await describe(client, ["none"])
        assert time.monotonic() - begun < 8


async def test_a_connection_on_which_an_answer_stays_out_is_closed_soon(secured: SecuredKafka) -> None:
    """The broker is suspended after it has answered before: aiokafka alone would wait for forty seconds."""
    async with through(secured, configured({})) as (proxy, client):
        await client.describe_cluster()
        async with proxy.stalled():
            begun = time.monotonic()
            with pytest.raises(KafkaConnectionError, match="closed"):
                await client._send_request(MetadataRequest([]), client._client.get_random_node())
            assert time.monotonic() - begun < 8
        async with asyncio.timeout(10):
            assert (await client.describe_cluster())["brokers"]


@asynccontextmanager
async def through(kafka: SecuredKafka, settings: ProcessorSettings) -> AsyncIterator[tuple[Proxy, AIOKafkaAdminClient]]:
    """A client whose connections all go through a proxy, on the port that the broker advertises for them."""
    async with Proxy(kafka.doors["behind"], kafka.doors["proxy"]) as proxy:
        options = settings.kafka_options() | {"bootstrap_servers": kafka.at("proxy")}
        client = AIOKafkaAdminClient(**options)
        await client.start()
        try:
            yield proxy, client
        finally:
            await client.close()
