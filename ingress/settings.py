"""Settings of an ingress: environment variables `INGRESS_…` (decision 17)."""

from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from schemas.words import AfterFinal, Kind
from service.settings import Port, ServiceSettings

RESERVED_PATHS: Final = ("/platform", "/api/network")
BasePath = Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]


class IngressSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="INGRESS_", frozen=True)

    name: str = Field("ingress", description="name of this process in its log lines")
    host: str = Field("127.0.0.1", description="address to listen on")
    port: Port = Field(8080, description="port to listen on")
    listen_fd: int | None = Field(None, description="an inherited listening socket to use instead of host and port")
    tls_certificate_file: Path | None = Field(None, description="certificate chain; with it the ingress speaks HTTPS")
    tls_key_file: Path | None = Field(None, description="the certificate's key")
    allow_plaintext: bool = Field(
        default=False,
        description="speak HTTP on an address that other machines reach; only where TLS ends in front of this process",
    )
    base_path: BasePath = Field("/bitgo/v1", description="prefix of the endpoints that BitGo calls")
    enterprise_id: str = Field(
        min_length=1, description="our enterprise id at BitGo, in the paths of the read endpoints"
    )
    partner_id: str | None = Field(None, description="our partner id at BitGo: the list's filter `partnerIds` knows it")
    bitgo_public_key_files: Annotated[tuple[Path, ...], NoDecode] = Field(
        description="files with BitGo's RSA public keys, comma-separated: PEM (keys, certificates, several in a file), "
        "JWK or JWK set; without a kid of its own, a key's `kid` is its file's name without its ending"
    )
    token_leeway_seconds: float = Field(
        5.0, ge=0, le=60, description="tolerance on exp, nbf, iat and on the longest lifetime"
    )
    max_token_age_seconds: float = Field(60.0, gt=0, le=86_400, description="how far ahead a token's exp may be")
    require_jti: bool = Field(default=True, description="refuse tokens without jti, which are not single-use")
    operator_tokens_file: Path | None = Field(
        None,
        description='JSON list of {"name", "sha256", "permissions"}: who may read, or write under /platform/v1, with a '
        "bearer token",
    )
    connection_token_key_files: Annotated[tuple[Path, ...], NoDecode] = Field(
        (),
        description="files with the RSA private keys of the platform, PEM, comma-separated, for connection tokens that "
        "BitGo encrypts with the `publicKey` registered there; unset: tokens come as they are",
    )
    rejected_as: Literal[200, 422] = Field(200, description="HTTP status of a rejected reserve")
    allocations_after_final: AfterFinal = Field(
        AfterFinal.CONFLICT, description="reserve of a cleared or released allocation"
    )
    deallocations_after_final: AfterFinal = Field(
        AfterFinal.REISSUE, description="reserve of a cleared or released deallocation"
    )
    answer_timeout_seconds: float = Field(
        10.0, gt=0, le=15, description="how long a write may take, from its head to its answer"
    )
    connections_max: int = Field(2000, ge=1, description="above it a new connection is closed at once")
    receive_seconds: float = Field(
        10.0,
        gt=0,
        le=60,
        description="how long a TLS handshake, a connection's first request, and a body may each take",
    )
    idle_seconds: float = Field(
        75.0, gt=0, le=3600, description="how long a connection may be without a request, or an answer unread"
    )
    drain_seconds: float = Field(
        0.0,
        ge=0,
        le=300,
        description="at a stop, how long it answers on while `/readyz` says 503 and answers close their connections: "
        "behind a balancer, longer than that takes to notice",
    )
    requests_in_flight_max: int = Field(1000, ge=1, description="above it: 503 overloaded")
    lag_max_records: int = Field(
        10_000, ge=1, description="lag of a partition above which its writes get 503 overloaded"
    )

    @field_validator("bitgo_public_key_files", "connection_token_key_files", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("rejected_as", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        return int(value) if isinstance(value, str) and value.isdecimal() else value

    @model_validator(mode="after")
    def _consistent(self) -> "IngressSettings":
        if not self.bitgo_public_key_files:
            raise ValueError("bitgo_public_key_files names no file")
        if self.listen_fd is None and self.port and self.port == self.metrics_port:
            raise ValueError("port and metrics_port are the same: callers would be told what is for operators only")
        if self.base_path.startswith(RESERVED_PATHS):
            raise ValueError(f"base_path lies under {' or '.join(RESERVED_PATHS)}, where operators' paths are")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file go together")
        return self

    def after_final(self, kind: Kind) -> AfterFinal:
        return self.allocations_after_final if kind is Kind.ALLOCATION else self.deallocations_after_final
