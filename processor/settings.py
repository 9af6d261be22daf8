"""Settings of a processor: environment variables `PROCESSOR_…` (decision 17)."""

import json
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StringConstraints, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from processor.domain.policy import Connections, OnFailure, PolicySettings
from schemas.fields import Currency
from schemas.quantity import QUANTITY_MAX
from service.settings import DEFAULT_GROUP_ID, ImportPath, ServiceSettings

InstanceId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,200}$")]


class _RepeatedError(Exception):
    """A key that stands twice in an object: one of two limits would be lost."""


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise _RepeatedError
    return found


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a whole number")  # noqa: TRY004 - for pydantic
    return value


Limit = Annotated[int, BeforeValidator(_no_flag), Field(ge=0, le=QUANTITY_MAX)]


class ProcessorSettings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="PROCESSOR_", frozen=True)

    instance_id: InstanceId = Field(
        description="unique and stable name of this process: after a restart it gets its partitions back at once"
    )
    group_id: InstanceId = Field(DEFAULT_GROUP_ID, description="Kafka consumer group of the processors")
    currencies: Annotated[frozenset[Currency] | None, NoDecode] = Field(
        None,
        description="currencies that reserves may name, as a JSON list; unset: all",
    )
    limits: Annotated[dict[Currency, Limit], NoDecode] = Field(
        default_factory=dict,
        description="the most that one reserve may ask for, in base units by currency, as a JSON object",
    )
    client_daily_limits: Annotated[dict[Currency, Limit], NoDecode] = Field(
        default_factory=dict,
        description="the most that all reserves of a client on a day (UTC) may ask for, in base units by currency, as "
        "a JSON object; allocations and deallocations are counted apart",
    )
    connection_daily_limits: Annotated[dict[Currency, Limit], NoDecode] = Field(
        default_factory=dict, description="the same of a connection"
    )
    policy: ImportPath | None = Field(
        None,
        description="the platform's own policy, a function as `package.module:function` (docs/policy.md); unset: none",
    )
    policy_timeout_ms: int = Field(100, ge=1, le=1000, description="the longest that it may take for one reserve")
    policy_memory_mb: int = Field(512, ge=64, le=65_536, description="address space of the process in which it runs")
    policy_on_failure: OnFailure = Field(
        OnFailure.REJECT,
        description="what follows when it gives no verdict: `reject`, with rejectionReason `policy_failed`; or "
        "`retry`: the processor's partitions wait until it gives one",
    )
    connections: Connections = Field(
        Connections.REGISTERED,
        description="`registered`: a reserve must name a connection that BitGo has activated; `open`: any, for "
        "development only",
    )
    reserve_expires_after_seconds: float | None = Field(
        None,
        ge=1,
        le=10 * 366 * 86_400,
        description="release a reservation that is older, by a command on the log; unset: never, as the contract says",
    )
    stall_seconds: float = Field(
        30.0,
        ge=5,
        le=600,
        description="the watchdog ends a process (status 1) that has lag and made no progress for this long",
    )

    @field_validator("currencies", "limits", "client_daily_limits", "connection_daily_limits", mode="before")
    @classmethod
    def _json(cls, value: object) -> object:
        """Parsed here, so that malformed JSON is reported as an error of its variable."""
        try:
            return json.loads(value, object_pairs_hook=_once_each) if isinstance(value, str) else value
        except _RepeatedError:
            raise ValueError("names something twice") from None
        except (ValueError, RecursionError):
            raise ValueError("must be JSON") from None

    @property
    def rules(self) -> PolicySettings:
        return PolicySettings(
            self.currencies,
            self.limits,
            self.connections,
            self.client_daily_limits,
            self.connection_daily_limits,
            plugged=self.policy is not None,
        )
