"""An offset of the log at which nothing can be decoded (record 0020)."""


class Undecodable(bytes):
    """The value of a record that stands for an offset whose batch can not be decoded there.

    The first such offset of a batch has the batch's bytes, as they are on the broker's disk; the others have none.
    """

    reason: str

    @classmethod
    def because(cls, reason: str, batch: bytes) -> "Undecodable":
        value = cls(batch)
        value.reason = reason
        return value


def content_of(value: bytes | None) -> bytes | None:
    """What is to be kept of a record's value."""
    return (bytes(value) or None) if isinstance(value, Undecodable) else value
