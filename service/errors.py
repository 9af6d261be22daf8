"""Errors that end a process, or tell it to wait.

OperatorError       something that only an operator can put right; the message says what to do
└── exit status 78, which supervisors do not restart (decision 8)
UnavailableError    Postgres or Kafka did not answer; the same work may be tried again
"""

from typing import Final

EXIT_OPERATOR: Final = 78


class OperatorError(Exception):
    """Something that only an operator can put right."""


class UnavailableError(Exception):
    """Postgres or Kafka did not answer in time."""
