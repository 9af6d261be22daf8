"""Settings that the ingress and the processor have in common (decision 17)."""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from psycopg.conninfo import make_conninfo
from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.topics import Topics
from service.kafka_files import PasswordFile, TlsFiles
from service.postgres_address import check_postgres_address

DEFAULT_GROUP_ID: Final = "allocations-processor"
"""The consumer group of the processors."""

Port = Annotated[int, Field(ge=0, le=65535)]
_BROKER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_EXTENSION_NAME: Final = re.compile(r"[A-Za-z]+")
_EXTENSION_VALUE: Final = re.compile(r"[\x20-\x7e\t\r\n]*")
OAUTHBEARER: Final = "OAUTHBEARER"
ImportPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", max_length=256)]
TopicPrefix = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,100}$")]


class ServiceSettings(BaseSettings):
    """Errors never show what was given: it may be a secret in the wrong place."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    kafka_bootstrap_servers: str = Field("127.0.0.1:9092", description="Kafka brokers, host:port, comma-separated")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="how the brokers are spoken to"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism, with a SASL protocol"
    )
    kafka_sasl_username: str | None = Field(None, description="SASL user name")
    kafka_sasl_password: SecretStr | None = Field(None, description="SASL password")
    kafka_sasl_password_file: Path | None = Field(
        None, description="file with the SASL password, read at every connection; instead of the password"
    )
    kafka_token_provider: ImportPath | None = Field(
        None,
        description="for OAUTHBEARER: a function that gives a token, as `package.module:function` (docs/brokers.md)",
    )
    kafka_sasl_extensions: Annotated[dict[str, str], NoDecode] = Field(
        default_factory=dict, description="for OAUTHBEARER: what is sent with the token, as a JSON object"
    )
    kafka_ssl_ca_file: Path | None = Field(
        None, description="authorities that the brokers' certificates are checked against"
    )
    kafka_ssl_certificate_file: Path | None = Field(None, description="our certificate, when the brokers ask for one")
    kafka_ssl_key_file: Path | None = Field(None, description="the key of our certificate")
    kafka_ssl_key_password: SecretStr | None = Field(None, description="the password of that key, if it is encrypted")
    kafka_ssl_key_password_file: Path | None = Field(
        None, description="file with that password, read at every connection; instead of the password"
    )
    topic_prefix: TopicPrefix = Field("", description="put before every topic's name")
    postgres_url: SecretStr = Field(
        description="postgresql://user:password@host:port/database, of several hosts too, or libpq's `host=… user=…`; "
        "Postgres 17 or later"
    )
    postgres_sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        None, description="libpq's sslmode; unset: as the URL says"
    )
    postgres_password_file: Path | None = Field(
        None, description="file with the database's password, read at every connection; instead of one in the URL"
    )
    metrics_host: str = Field("127.0.0.1", description="address of /livez, /readyz and /metrics")
    metrics_port: Port = Field(0, description="port of /livez, /readyz and /metrics; 0: any free port")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: JSON unless standard error is a terminal"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least severe lines to write"
    )

    @field_validator("kafka_bootstrap_servers")
    @classmethod
    def _brokers(cls, value: str) -> str:
        """Without empty entries: aiokafka and Faust would take each for this machine."""
        brokers = [each for part in value.split(",") if (each := part.strip())]
        if not brokers or not all(map(_is_broker, brokers)):
            raise ValueError("must be host:port of one or more brokers, separated by commas")
        return ",".join(brokers)

    @field_validator("kafka_sasl_extensions", mode="before")
    @classmethod
    def _extensions(cls, value: object) -> object:
        """Parsed here, so that malformed JSON is reported as an error of its variable."""
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except (ValueError, RecursionError):
            raise ValueError("must be JSON") from None
        if isinstance(found, dict) and not all(map(_is_extension, found, found.values())):
            raise ValueError('must be a JSON object of names of letters and printable values, and not "auth"')
        return found

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kafka_security_protocol.startswith("SASL"):
            self._check_sasl()
        if self.kafka_ssl_key_file and not self.kafka_ssl_certificate_file:
            raise ValueError("kafka_ssl_key_file needs kafka_ssl_certificate_file")
        for name in ("kafka_sasl_password", "kafka_ssl_key_password"):
            if getattr(self, name) and getattr(self, f"{name}_file"):
                raise ValueError(f"{name} and {name}_file: give one of them")
        return self

    def _check_sasl(self) -> None:
        if self.kafka_sasl_mechanism == OAUTHBEARER:
            if not self.kafka_token_provider:
                raise ValueError("kafka_sasl_mechanism is OAUTHBEARER: it needs kafka_token_provider")
        elif not (self.kafka_sasl_username and (self.kafka_sasl_password or self.kafka_sasl_password_file)):
            raise ValueError(
                f"kafka_security_protocol is {self.kafka_security_protocol}: it needs kafka_sasl_username and "
                "kafka_sasl_password"
            )

    @field_validator("postgres_url")
    @classmethod
    def _address(cls, value: SecretStr) -> SecretStr:
        check_postgres_address(value.get_secret_value())
        return value

    @property
    def postgres_address(self) -> str:
        """The address of the database as libpq takes it, with the settings' password and sslmode: a secret.

        Raises OSError while there is no password file.
        """
        given: dict[str, str] = {"sslmode": self.postgres_sslmode} if self.postgres_sslmode else {}
        if self.postgres_password_file:
            given["password"] = self.postgres_password_file.read_text(errors="replace").rstrip("\r\n")
        return make_conninfo(self.postgres_url.get_secret_value(), **given)

    @property
    def topics(self) -> Topics:
        return Topics(self.topic_prefix)

    def kafka_options(self) -> dict[str, Any]:
        """The connection arguments of every aiokafka client. Raises OperatorError for a token provider that is none."""
        from service import aiokafka_connection  # noqa: PLC0415 - imports aiokafka, which few verbs need

        aiokafka_connection.use()
        options: dict[str, Any] = {
            "bootstrap_servers": self.kafka_bootstrap_servers,
            "security_protocol": self.kafka_security_protocol,
        }
        if self.kafka_security_protocol.endswith("SSL"):
            certificate, key = self.kafka_ssl_certificate_file, self.kafka_ssl_key_file
            password = _secret(self.kafka_ssl_key_password, self.kafka_ssl_key_password_file)
            options["ssl_context"] = TlsFiles(self.kafka_ssl_ca_file, certificate, key, password)
        if self.kafka_security_protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.kafka_sasl_mechanism
            options |= self._credentials()
        return options

    def _credentials(self) -> dict[str, Any]:
        if self.kafka_sasl_mechanism == OAUTHBEARER:
            from service.kafka_tokens import TokenProvider  # noqa: PLC0415 - imports aiokafka

            provider = TokenProvider(self.kafka_token_provider or "", self.kafka_sasl_extensions)
            return {"sasl_oauth_token_provider": provider}
        password = _secret(self.kafka_sasl_password, self.kafka_sasl_password_file)
        return {"sasl_plain_username": self.kafka_sasl_username, "sasl_plain_password": password}


def _secret(own: SecretStr | None, file: Path | None) -> str:
    """A password, or the file that it is read from at each connection; empty for none."""
    return PasswordFile(file) if file else own.get_secret_value() if own else ""


def _is_extension(name: object, value: object) -> bool:
    """As RFC 7628 has it, which keeps `auth` for the token."""
    return (
        isinstance(name, str)
        and isinstance(value, str)
        and name != "auth"
        and _EXTENSION_NAME.fullmatch(name) is not None
        and _EXTENSION_VALUE.fullmatch(value) is not None
    )


def _is_broker(text: str) -> bool:
    found = _BROKER.fullmatch(text)
    return found is not None and (found["port"] is None or 0 < int(found["port"]) <= 65535)  # noqa: PLR2004
