"""Refusals as documents: ours, and BitGo's under /api/network (contract, sections 5 and 8)."""

import json
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer

from ingress.http.middleware import answer_and_log
from ingress.http.problems import (
    NETWORK,
    REFUSALS,
    ProblemError,
    bad_request,
    forbidden,
    not_found,
    outcome_pending,
    overloaded,
    pruned,
    unauthorized,
    unavailable,
)
from schemas.answers import NetworkError, Problem
from schemas.words import Refusal

OURS, THEIRS = "/bitgo/v1/allocations", f"{NETWORK}v1/enterprises/e/partners/allocations"
PROBLEMS = [
    bad_request([("amount.quantity", "must be positive"), ("", "is odd")]),
    unauthorized(),
    forbidden("settlement_network_read"),
    not_found(),
    pruned({"Command-Id": "a"}),
    unavailable(),
    outcome_pending({"Command-Id": "a"}),
    overloaded("too many"),
]


async def answered(path: str, error: Exception) -> tuple[ClientResponse, dict[str, Any]]:
    """What the caller of a handler that raises is answered."""

    async def handler(_request: web.Request) -> web.StreamResponse:
        raise error

    app = web.Application(middlewares=[answer_and_log])
    app.router.add_get(path, handler)
    async with TestClient(TestServer(app)) as client, client.get(path) as response:
        return response, await response.json(content_type=None)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: str(problem.code))
async def test_given_a_problem_then_its_document_is_the_contract_s(problem: ProblemError) -> None:
    response, document = await answered(OURS, problem)
    read = Problem.model_validate(document)
    assert "application/problem+json" == response.content_type
    assert (problem.status, problem.status, problem.code) == (response.status, read.status, read.code)
    assert ("about:blank", read.detail) == (read.type, read.error)
    assert problem.headers.items() <= dict(response.headers).items()


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: str(problem.code))
async def test_given_a_problem_of_the_network_then_it_has_bitgos_form(problem: ProblemError) -> None:
    response, document = await answered(THEIRS, problem)
    assert (problem.status, "application/json") == (response.status, response.content_type)
    assert document == ({} if problem.status == 400 else NetworkError(error=problem.detail).model_dump())


@pytest.mark.parametrize("problem", [unavailable(), outcome_pending(), overloaded("busy")], ids=lambda each: each.code)
def test_given_a_503_then_it_says_when_to_come_again(problem: ProblemError) -> None:
    assert (503, "1") == (problem.status, problem.headers["Retry-After"])


def test_given_many_wrong_fields_then_all_are_listed_and_three_are_in_the_sentence() -> None:
    problem = bad_request([(f"field{n}", "is wrong") for n in range(5)])
    assert 5 == len(problem.fields["errors"])
    assert "field0: is wrong; field1: is wrong; field2: is wrong" == problem.detail


def test_given_a_refusal_of_the_machine_then_it_has_a_status_and_a_sentence() -> None:
    assert set(Refusal) - {Refusal.EXPIRED} == REFUSALS.keys()
    assert {403, 404, 409} == {status for status, _ in REFUSALS.values()}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (web.HTTPNotFound(), 404, "unknown_path"),
        (web.HTTPMethodNotAllowed("DELETE", ["GET", "POST"]), 405, "method_not_allowed"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ],
    ids=lambda each: type(each).__name__,
)
async def test_given_any_other_error_then_nothing_of_it_reaches_the_caller(
    error: Exception, status: int, code: str
) -> None:
    response, document = await answered(OURS, error)
    assert (status, code) == (response.status, document["code"])
    assert ("Allow" in response.headers) == (status == 405)
    assert "secret" not in json.dumps(document)
