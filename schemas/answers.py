"""What BitGo reads: the allocation in its own words, the read shape, and errors (contract, sections 2, 5 and 8)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schemas.fields import PlugReason
from schemas.words import Kind, Rejection, Status


class Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class AnsweredAmount(Answer):
    currency: str
    quantity: Annotated[
        int | str, Field(description="plain digits, as a number or a string: in the form that was sent")
    ]


class AllocationAnswer(Answer):
    """The fields of reserve, with the status. One of each pair of spellings is present: the one that was used."""

    allocation_id: str
    amount: AnsweredAmount
    client_id: str
    connection_id: str
    partners_connection_id: str
    partner_allocation_id: str | None = None
    partners_allocation_id: str | None = None
    partner_client_id: str | None = None
    partners_client_id: str | None = None
    status: Status
    rejection_reason: Rejection | PlugReason | None = None


class DeallocationAnswer(Answer):
    """The fields of reserve, with the status. One of each pair of spellings is present: the one that was used."""

    deallocation_id: str
    amount: AnsweredAmount
    client_id: str
    connection_id: str
    partners_connection_id: str
    partner_deallocation_id: str | None = None
    partners_deallocation_id: str | None = None
    partner_client_id: str | None = None
    partners_client_id: str | None = None
    status: Status
    rejection_reason: Rejection | PlugReason | None = None


class ReadAmount(Answer):
    currency: str
    quantity: str


class ReadAllocation(Answer):
    """BitGo's read shape. Optional fields are absent, never null; `reason` is required and may be null."""

    id: str
    amount: ReadAmount
    connection_id: str
    client_external_id: str
    partner_external_id: str | None = None
    initiated_by: str
    notes: str | None = None
    created_at: str
    updated_at: str
    retriable: bool
    evaluation_id: str | None = None
    pending_approval_id: str | None = None
    policy_result: Literal["approved", "rejected"] | None = None
    reason: str | None
    status: Literal["reserved", "cleared", "released"]
    type: Kind

    def document(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude_none=True) | {"reason": self.reason}


class ReadOne(Answer):
    allocation: ReadAllocation


class ReadList(Answer):
    allocations: list[ReadAllocation]


class FieldError(Answer):
    field: str
    message: str


class Problem(Answer):
    """application/problem+json (RFC 9457). `error` repeats `detail`, for BitGo's own clients."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    error: str
    allocation_status: Status | None = None
    errors: list[FieldError] | None = None


class NetworkError(Answer):
    """Errors of the read endpoints under /api/network."""

    error: str
