"""Whether what policy said of a connection can be what it read: the version that was recorded (contract, section 3).

A connection's content never changes, and its versions are active and inactive by turns: the first is active.
"""

from itertools import groupby

from processor.domain.connection import Connection
from proof.log.subject_tables import CONNECTIONS
from proof.verify.differences import Difference, Report
from proof.verify.fold import ConnectionRead, Fold
from schemas.words import Rejection

_OF_CONNECTIONS = {Rejection.UNKNOWN_CONNECTION, Rejection.INACTIVE_CONNECTION, Rejection.CONNECTION_MISMATCH}


def check_reads(fold: Fold, report: Report) -> None:
    """Every reserve that read a connection."""
    for connection_id, reads in groupby(fold.reads(), lambda each: each.connection_id):
        connection = fold.states(CONNECTIONS, [connection_id]).get(connection_id)
        for each in reads:
            if words := read_problem(connection, each):
                report(Difference("journal", each.position, words, each.of))


def read_problem(connection: Connection | None, read: ConnectionRead) -> str:
    """What is wrong with a verdict on the connection, as it is in the end; empty when nothing is."""
    last = connection.version if connection else 0
    if read.version > last:
        return f"the connection was read in version {read.version}, and has {last}"
    expected = _expected(connection, read)
    found = read.reason if read.reason in _OF_CONNECTIONS else None
    if found == expected:
        return ""
    return (
        f"by version {read.version} of the connection it is {expected or 'not to be rejected for it'}, and it was "
        f"{read.reason or 'approved'}"
    )


def _expected(connection: Connection | None, read: ConnectionRead) -> Rejection | None:
    if connection is None or read.version == 0:
        return Rejection.UNKNOWN_CONNECTION
    if read.version % 2 == 0:
        return Rejection.INACTIVE_CONNECTION
    asked = read.client_id, read.partners_connection_id, read.partner_client_id or connection.partners_client_id
    known = connection.client_id, connection.partners_connection_id, connection.partners_client_id
    return None if asked == known else Rejection.CONNECTION_MISMATCH
