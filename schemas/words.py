"""The words of the contract: one spelling through HTTP, Kafka, Python and SQL."""

from enum import StrEnum


class Kind(StrEnum):
    ALLOCATION = "allocation"
    DEALLOCATION = "deallocation"


class Verb(StrEnum):
    RESERVE = "reserve"
    CLEAR = "clear"
    RELEASE = "release"


class Status(StrEnum):
    RESERVED = "reserved"  # nothing → reserved; released → reserved when re-issued
    REJECTED = "rejected"  # nothing → rejected; released → rejected when re-issued
    CLEARED = "cleared"  # reserved → cleared
    RELEASED = "released"  # reserved → released


class AfterFinal(StrEnum):
    """What a reserve of a cleared or released id gets (contract, section 3)."""

    CONFLICT = "conflict"
    REISSUE = "reissue"


class Outcome(StrEnum):
    """What became of one record of the commands topic."""

    APPLIED = "applied"
    REPEATED = "repeated"
    REFUSED = "refused"
    PARKED = "parked"


class Refusal(StrEnum):
    """Why a command changed nothing (contract, sections 3 and 8)."""

    EXPIRED = "expired"
    ID_IN_USE = "id_in_use"
    DIFFERENT_CONTENT = "different_content"
    NOT_FOUND = "not_found"
    ALREADY_REJECTED = "already_rejected"
    ALREADY_CLEARED = "already_cleared"
    ALREADY_RELEASED = "already_released"


class Rejection(StrEnum):
    """Why policy turned a reserve down (contract, section 3)."""

    UNSUPPORTED_CURRENCY = "unsupported_currency"
    LIMIT_EXCEEDED = "limit_exceeded"
    INSUFFICIENT_BALANCE = "insufficient_balance"


class ParkReason(StrEnum):
    """Why a record is no command at all (decision 14)."""

    NOT_A_COMMAND = "not_a_command"
    KEY_IS_NOT_ITS_ID = "key_is_not_its_id"
    WRONG_PARTITION = "wrong_partition"
    UNDECODABLE = "undecodable"
