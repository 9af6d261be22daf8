"""A policy whose version is a hash of its source."""

from schemas.policy import Approve, Facts, Request


def decide(request: Request, facts: Facts) -> Approve:  # noqa: ARG001
    return Approve()
