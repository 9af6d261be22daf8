"""The settings of one process: whether they can be read, and what in them is for development."""

from collections.abc import Iterator, Mapping
from typing import Final

from pydantic import ValidationError

from cli.doctor.finding import Finding, fail, ok, warn
from cli.serve import faults_of
from ingress.settings import IngressSettings
from processor.domain.policy import Connections
from processor.settings import ProcessorSettings
from service.settings import ServiceSettings

CHECK: Final = "settings"


def has_any(model: type[ServiceSettings], environment: Mapping[str, str]) -> bool:
    return any(name.upper().startswith(_prefix(model)) for name in environment)


def not_given(model: type[ServiceSettings]) -> Finding:
    return warn(
        CHECK,
        f"no {_prefix(model)}… is set: not looked at",
        "run this in that process's environment too, or in one of both",
    )


def check(model: type[ServiceSettings], environment: Mapping[str, str]) -> tuple[ServiceSettings | None, list[Finding]]:
    """The settings, unless they can not be read, and what was found."""
    unknown = list(_unknown(model, environment))
    try:
        settings = model()
    except ValidationError as error:
        return None, [
            fail(CHECK, fault, "set it as `allocations settings` says") for fault in faults_of(model, error)
        ] + unknown
    found = [*unknown, *_common(settings)]
    if isinstance(settings, IngressSettings):
        found += _of_ingress(settings)
    if isinstance(settings, ProcessorSettings):
        found += _of_processor(settings)
    return settings, found or [ok(CHECK, "complete, and nothing in them is for development only")]


def _prefix(model: type[ServiceSettings]) -> str:
    return str(model.model_config["env_prefix"])


def _unknown(model: type[ServiceSettings], environment: Mapping[str, str]) -> Iterator[Finding]:
    prefix = _prefix(model)
    known = {f"{prefix}{name}".upper() for name in model.model_fields}
    for name in sorted(environment):
        if name.upper().startswith(prefix) and name.upper() not in known:
            yield warn(
                CHECK, f"{name} is no setting, and nothing reads it", "`allocations settings` lists those that are"
            )


def _common(settings: ServiceSettings) -> Iterator[Finding]:
    if not settings.metrics_port:
        yield warn(
            CHECK,
            "…_METRICS_PORT is 0, any free port",
            "give it a number: probes and alerts must find /readyz and /metrics",
        )
    if not settings.kafka_security_protocol.endswith("SSL"):
        yield warn(
            CHECK,
            f"…_KAFKA_SECURITY_PROTOCOL is {settings.kafka_security_protocol}: records and passwords travel in clear",
            "SASL_SSL or SSL, unless nobody else is on the way",
        )
    if not settings.kafka_security_protocol.startswith("SASL") and settings.kafka_ssl_certificate_file is None:
        yield warn(
            CHECK,
            "the brokers do not ask who this process is",
            "SASL, or a client certificate: without it, whoever reaches a broker can write commands",
        )


def _of_ingress(settings: IngressSettings) -> Iterator[Finding]:
    if settings.tls_certificate_file is None:
        what = "INGRESS_ALLOW_PLAINTEXT" if settings.allow_plaintext else f"plain HTTP on {settings.host}"
        yield warn(CHECK, f"{what}: this process speaks no TLS", "only where TLS ends in front of it")
    if not settings.drain_seconds:
        yield warn(
            CHECK,
            "INGRESS_DRAIN_SECONDS is 0: at a stop it refuses whoever still comes",
            "behind a balancer: longer than that takes to notice /readyz",
        )
    if not settings.require_jti:
        yield warn(
            CHECK, "INGRESS_REQUIRE_JTI is false: a request that was overheard can be sent again", "set it to true"
        )
    if settings.operator_tokens_file is None:
        yield warn(CHECK, "INGRESS_OPERATOR_TOKENS_FILE is unset: operators can read nothing", "set it if they are to")


def _of_processor(settings: ProcessorSettings) -> Iterator[Finding]:
    if settings.connections is Connections.OPEN:
        yield fail(
            CHECK,
            "PROCESSOR_CONNECTIONS is open: a reserve may name any connection",
            "that is for development: set it to registered",
        )
    if settings.currencies is None and not settings.limits and settings.policy is None:
        yield warn(CHECK, "no PROCESSOR_CURRENCIES, _LIMITS or _POLICY: every reserve is granted", "see docs/policy.md")
