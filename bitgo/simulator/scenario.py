"""A scenario: what clients order and how BitGo misbehaves on the way, as a small YAML file."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from bitgo.simulator.editions import Edition
from schemas.fields import QUANTITY_MAX_DIGITS, Currency
from schemas.words import AfterFinal, Kind

ORDERS_MAX: Final = 1_000_000
FILE_MAX_BYTES: Final = 64 * 1024

Share = Annotated[float, Field(ge=0, le=1)]
Finish = Literal["clear", "release", "open"]


class ScenarioError(Exception):
    """The file is no scenario; the message says where."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Quantities(Part):
    """Base units: a number from `least` to `most`, followed by so many zeros."""

    least: int = Field(1, ge=1)
    most: int = Field(1_000_000, ge=1)
    zeros: int = Field(0, ge=0, le=QUANTITY_MAX_DIGITS)

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        if self.least > self.most:
            raise ValueError("least is more than most")
        if self.most * 10**self.zeros >= 10**QUANTITY_MAX_DIGITS:
            raise ValueError(f"has more than {QUANTITY_MAX_DIGITS} digits")
        return self


class Finishing(Part):
    """How orders end: shares that add up to 1. `open` ones stay reserved for good."""

    clear: Share = 0.8
    release: Share = 0.2
    open: Share = 0.0

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if abs(self.clear + self.release + self.open - 1) > 1e-9:  # noqa: PLR2004
            raise ValueError("clear, release and open do not add up to 1")
        return self


class Scenario(Part):
    """Shares are of orders unless the description says otherwise."""

    name: str = Field(pattern="^[a-z0-9-]{1,64}$", description="lower case and hyphens")
    seed: int = Field(description="same seed, same orders")
    about: str = Field(min_length=1, description="a sentence on what happens")

    orders: int = Field(1000, ge=1, le=ORDERS_MAX)
    at_once: int = Field(16, ge=1, le=1024)
    clients: int = Field(20, ge=1, le=10_000)
    connections_per_client: int = Field(1, ge=1, le=100)
    connect: bool = Field(False, description="ask the partner to activate each connection first")  # noqa: FBT003
    in_turn: bool = Field(True, description="the orders of one connection wait for each other")  # noqa: FBT003

    currencies: list[Currency] = Field(["BTC", "ETH"], min_length=1)
    quantities: Quantities = Quantities()
    deallocations: Share = Field(0.3, description="orders that take back; the first of an account never does")
    overdrawn: Share = Field(0.0, description="deallocations of more than there is")
    take_all: Share = Field(0.0, description="deallocations of everything that is there")
    finish: Finishing = Finishing()

    late: Share = Field(0.0, description="cleared or released only after `late_by` further orders")
    late_by: int = Field(10, ge=1)
    settlement_every: int | None = Field(None, ge=2, description="clears and releases wait, and come all at once")
    give_up: Share = Field(0.0, description="the reserve is cut off and, without asking again, released")
    overtaken: Share = Field(0.0, description="the release is on its way before the reserve")
    again: Share = Field(0.0, description="the reserve is sent once more when all is over")

    copies: Share = Field(0.0, description="calls that are sent several times at once")
    copies_most: int = Field(3, ge=2, le=16)
    lost_answers: Share = Field(0.0, description="calls whose connection is cut before the answer is read")
    cut_within_ms: int = Field(30, ge=1)
    pause_ms: int = Field(0, ge=0, description="before a clear or release, at most")

    editions: list[Annotated[Edition, Field(strict=False)]] = Field([Edition.SEED], min_length=1)
    edition_changes: Share = Field(0.0, description="calls that repeat a reserve in another edition")
    partner_ids: Share = Field(1.0, description="orders that carry BitGo's id for the partner's record")
    upper_case: Share = Field(0.0, description="calls with ids in upper case")
    plural_paths: Share = Field(0.0, description="clears and releases under /allocations/ instead of /allocation/")
    rotate_every: int | None = Field(None, ge=1, description="calls signed with one key before the next one's turn")

    timeout_seconds: float = Field(30.0, gt=0, le=300)
    patience_seconds: float = Field(120.0, gt=0, le=3600, description="repeats for so long, then gives up or complains")
    allocations_after_final: AfterFinal = Field(AfterFinal.CONFLICT, strict=False)
    deallocations_after_final: AfterFinal = Field(AfterFinal.REISSUE, strict=False)

    def after_final(self, kind: Kind) -> AfterFinal:
        return self.allocations_after_final if kind is Kind.ALLOCATION else self.deallocations_after_final

    @property
    def run(self) -> str:
        """Under this name its orders stand in the ledger."""
        return f"{self.name}/{self.seed}"

    def changed(self, **changes: Any) -> "Scenario":
        """The same with other values, checked; None changes nothing. Raises ScenarioError."""
        return _scenario(self.model_dump() | {name: value for name, value in changes.items() if value is not None}, "")


def built_in() -> list[str]:
    folder = files("bitgo.simulator").joinpath("scenarios")
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load(name_or_file: str) -> Scenario:
    """One of ours by name, or a file. Raises ScenarioError."""
    if name_or_file in built_in():
        return read(files("bitgo.simulator").joinpath("scenarios", f"{name_or_file}.yaml").read_bytes(), name_or_file)
    file = Path(name_or_file)
    if not file.is_file():
        raise ScenarioError(f"{name_or_file} is neither a file nor one of {', '.join(built_in())}")
    if file.stat().st_size > FILE_MAX_BYTES:
        raise ScenarioError(f"{file} is larger than {FILE_MAX_BYTES} bytes")
    return read(file.read_bytes(), name_or_file)


def read(text: bytes, where: str) -> Scenario:
    """Raises ScenarioError with the line or the key that is wrong."""
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise ScenarioError(f"{where} is no YAML: {error}") from None
    if not isinstance(document, dict):
        raise ScenarioError(f"{where} must be a mapping of keys to values")
    return _scenario(document, f"{where}: ")


def _scenario(document: dict[Any, Any], where: str) -> Scenario:
    try:
        return Scenario.model_validate(document)
    except ValidationError as error:
        problems = []
        for each in error.errors(include_url=False, include_input=False):
            key = ".".join(map(str, each["loc"])) or "scenario"
            known = ", ".join(Scenario.model_fields)
            problems.append(
                f"{key} is no key of a scenario; known are {known}"
                if each["type"] == "extra_forbidden" and len(each["loc"]) == 1
                else f"{key}: {each['msg']}"
            )
        raise ScenarioError(where + "; ".join(problems)) from None
