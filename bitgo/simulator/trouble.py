"""Trouble on request: the next answers of an endpoint are refusals, are slow, or break off.

Kept in memory: a restart ends all trouble. Each request takes the oldest trouble that is meant for its endpoint.
"""

from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

ANY: Final = "*"
WAITING_MAX: Final = 1000
TIMES_MAX: Final = 100_000
SECONDS_MAX: Final = 600.0
SENTENCES: Final = {
    "401": "the access token is not valid",
    "403": "the partner is inactive",
    "404": "there is no such thing",
    "409": "the request conflicts with what is there",
    "422": "the request can not be processed",
    "429": "too many requests",
    "500": "internal server error",
    "503": "the service is unavailable",
}

Answer = Literal["401", "403", "404", "409", "422", "429", "500", "503", "slow", "cut"]


class Trouble(BaseModel):
    """What happens to the next `times` requests of an endpoint, `*` being any.

    `after`: the request takes effect first, and its true answer is lost (slow: waits only then). `settlement`, with 401
    or 500 of a settlement: the answer carries a settlement that stopped in this status.
    """

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, extra="forbid")

    endpoint: str
    answer: Answer
    times: Annotated[int, Field(ge=1, le=TIMES_MAX)] = 1
    after: bool = False
    settlement: Literal["pending", "failed", "rejected"] | None = None
    retry_after_seconds: Annotated[int, Field(ge=0, le=3600)] = 1
    seconds: Annotated[float, Field(ge=0, le=SECONDS_MAX)] = 5.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.settlement and (self.answer not in ("401", "500") or self.after):
            raise ValueError("a settlement is carried by 401 and 500, and not by those that come after the effect")
        return self


class Troubles:
    def __init__(self, endpoints: frozenset[str], carrying: frozenset[str]) -> None:
        """`endpoints` have names like `PUT allocations`; those of `carrying` can answer with a settlement."""
        self._endpoints = endpoints
        self._carrying = carrying
        self._waiting: list[Trouble] = []

    def add(self, trouble: Trouble) -> None:
        """Raises ValueError with what does not fit."""
        if trouble.endpoint not in self._endpoints | {ANY}:
            raise ValueError(f"there is no endpoint {trouble.endpoint}; there are {', '.join(sorted(self._endpoints))}")
        if trouble.settlement and trouble.endpoint not in self._carrying:
            raise ValueError(f"a settlement is carried by {', '.join(sorted(self._carrying))} only")
        if len(self._waiting) >= WAITING_MAX:
            raise ValueError(f"{WAITING_MAX} troubles are waiting already")
        self._waiting.append(trouble.model_copy())

    def take(self, endpoint: str) -> Trouble | None:
        for place, each in enumerate(self._waiting):
            if each.endpoint in (endpoint, ANY):
                each.times -= 1
                if each.times == 0:
                    del self._waiting[place]
                return each
        return None

    def clear(self) -> None:
        self._waiting.clear()

    def waiting(self) -> list[dict[str, Any]]:
        return [each.model_dump(mode="json", by_alias=True) for each in self._waiting]
