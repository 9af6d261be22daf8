"""Times in the ledger are milliseconds since 1970; BitGo writes and reads ISO 8601 in UTC."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, PlainSerializer

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def iso(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def milliseconds_of(moment: datetime) -> int:
    """Rounded down."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _in_range(moment: datetime) -> datetime:
    if not 1 < moment.year < 9999:  # noqa: PLR2004
        raise ValueError("must be within the years 2 to 9998")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_in_range), PlainSerializer(milliseconds_of, return_type=int)]
"""An instant with its zone, dumped as milliseconds since 1970."""
