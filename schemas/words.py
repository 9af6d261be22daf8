"""The words of the contract: one spelling through HTTP, Kafka, Python and SQL."""

from enum import StrEnum


class Kind(StrEnum):
    ALLOCATION = "allocation"
    DEALLOCATION = "deallocation"


class Subject(StrEnum):
    """What a command is about, if not an allocation or a deallocation."""

    CONNECTION = "connection"
    ADJUSTMENT = "adjustment"


class Verb(StrEnum):
    RESERVE = "reserve"
    CLEAR = "clear"
    RELEASE = "release"


class ConnectionVerb(StrEnum):
    ACTIVATE = "activate"
    DEACTIVATE = "deactivate"
    REACTIVATE = "reactivate"


class AdjustmentVerb(StrEnum):
    ADJUST = "adjust"


class Status(StrEnum):
    RESERVED = "reserved"  # nothing → reserved; released → reserved when re-issued
    REJECTED = "rejected"  # nothing → rejected; released → rejected when re-issued
    CLEARED = "cleared"  # reserved → cleared
    RELEASED = "released"  # reserved → released


class ConnectionStatus(StrEnum):
    ACTIVE = "active"  # nothing → active, by BitGo; inactive → active, by the platform
    INACTIVE = "inactive"  # active → inactive, by the platform


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
    """Why a command changed nothing (contract, sections 3, 6, 8 and 9)."""

    EXPIRED = "expired"
    ID_IN_USE = "id_in_use"
    DIFFERENT_CONTENT = "different_content"
    NOT_FOUND = "not_found"
    ALREADY_REJECTED = "already_rejected"
    ALREADY_CLEARED = "already_cleared"
    ALREADY_RELEASED = "already_released"
    INVALID_CONNECTION_TOKEN = "invalid_connection_token"  # noqa: S105 - a word, no token
    ACCOUNT_CONNECTED = "account_connected"
    ACCOUNT_NOT_EMPTY = "account_not_empty"
    INSUFFICIENT_BALANCE = "insufficient_balance"


class Scope(StrEnum):
    """Whose reserves of a day a daily limit counts together."""

    CLIENT = "client"
    CONNECTION = "connection"


class Rejection(StrEnum):
    """Why policy turned a reserve down (contract, section 3), or gave no verdict. A plug has words of its own."""

    UNKNOWN_CONNECTION = "unknown_connection"
    INACTIVE_CONNECTION = "inactive_connection"
    CONNECTION_MISMATCH = "connection_mismatch"
    UNSUPPORTED_CURRENCY = "unsupported_currency"
    LIMIT_EXCEEDED = "limit_exceeded"
    POLICY_FAILED = "policy_failed"
    INSUFFICIENT_BALANCE = "insufficient_balance"


class ParkReason(StrEnum):
    """Why a record is no command at all (decision 14)."""

    NOT_A_COMMAND = "not_a_command"
    KEY_IS_NOT_ITS_ID = "key_is_not_its_id"
    WRONG_PARTITION = "wrong_partition"
    UNDECODABLE = "undecodable"
