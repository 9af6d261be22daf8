"""Errors that end a process, or tell it to wait.

OperatorError       something that only an operator can put right; the message says what to do
└── exit status 78, which supervisors do not restart (decision 8)
StalledError        a process that makes no progress and has no excuse: only a restart helps
└── exit status 1, which supervisors restart
UnavailableError    Postgres or Kafka did not answer; the same work may be tried again
"""

from typing import Final

EXIT_OPERATOR: Final = 78


class OperatorError(Exception):
    """Something that only an operator can put right."""


class StalledError(Exception):
    """There is lag and no progress although Kafka and Postgres answer: only a restart helps."""


class UnavailableError(Exception):
    """Postgres or Kafka did not answer in time."""
