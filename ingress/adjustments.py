"""Adjustments: the platform moves balances for trading, one by one or up to 1,000 in a request (contract, section 9).

Of a batch several elements are in flight at once, as many as it got places among the requests in flight: up to 200,
and at most half of those that were free (`Slots.several`); with none to spare, one after the other on its own. Elements
with one id are published in their order, each after the outcome of the one before. Each is answered by itself.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError

from ingress import metrics
from ingress.answers import COMMAND_ID, LOG_POSITION, proof
from ingress.app_keys import ACCESS, ROWS, SLOTS, SUBMISSION
from ingress.at_position import asked_position, outcome_at
from ingress.auth.operators import Permission
from ingress.http.problems import ProblemError, not_found, unavailable
from ingress.http.requests import path_id, read_json, read_model, refusal, traceparent
from ingress.platform_answers import BOOKED, adjustment_answer, check_outcome, current_adjustment
from ingress.postgres.rows import AdjustmentRow
from ingress.submit import adjust_command
from ingress.write import write
from schemas import strict_json
from schemas.platform_bodies import BATCH_MAX_BYTES, AdjustmentBatchBody, AdjustmentBody
from schemas.words import Subject
from service.errors import UnavailableError

BATCH_IN_FLIGHT: Final = 200


async def adjust(request: web.Request) -> web.Response:
    caller = request.app[ACCESS].operator(request, Permission.WRITE)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        body = await read_model(request, AdjustmentBody, deadline)
        command = adjust_command(body)
        request["log"] = {"caller": caller.name}
        resource = request.path + f"/{command.adjustment_id}"
        answer = partial(adjustment_answer, content=command)
        return await write(request, caller, command, deadline, resource=resource, answer=answer)


async def status(request: web.Request) -> web.Response:
    """An adjustment that was booked; or what became of the command at a position."""
    caller = request.app[ACCESS].operator(request, Permission.READ)
    deadline = request.app[SUBMISSION].deadline()
    with request.app[SLOTS]:
        adjustment_id = path_id(request, Subject.ADJUSTMENT)
        position = asked_position(request)
        request["log"] = {"adjustment_id": adjustment_id, "caller": caller.name}
        if position is None:
            return current_adjustment(await _booked(request, adjustment_id))
        row = await outcome_at(request, position, (adjustment_id, Subject.ADJUSTMENT), deadline)
        check_outcome(row, proof(row.command_id or "", position))
        return adjustment_answer(row, position, await _booked(request, adjustment_id))


async def _booked(request: web.Request, adjustment_id: str) -> AdjustmentRow:
    try:
        row = await request.app[ROWS].adjustment(adjustment_id)
    except UnavailableError as error:
        raise unavailable("the tables do not answer") from error
    if row is None:
        raise not_found(Subject.ADJUSTMENT)
    return row


async def adjust_batch(request: web.Request) -> web.Response:
    """200, with one result for each element, in order: booked, or the problem that it would have got alone."""
    caller = request.app[ACCESS].operator(request, Permission.WRITE)
    deadline = request.app[SUBMISSION].deadline()
    slots = request.app[SLOTS]
    with slots:
        raw = await read_json(request.clone(client_max_size=BATCH_MAX_BYTES), deadline)
        try:
            elements = await asyncio.to_thread(_elements, raw)  # megabytes: the other requests go on meanwhile
        except (strict_json.NotJsonError, ValidationError) as error:
            raise refusal(error) from None
        with slots.several(min(len(elements), BATCH_IN_FLIGHT)) as places:
            batch = _Batch(request, max(places, 1), deadline)
            results = await batch.run(elements)
        counted = Counter(str(each.get("code", BOOKED)) for each in results)
        request["log"] = {"caller": caller.name, "adjustments": len(results), "results": dict(counted)}
        for code, count in counted.items():
            metrics.BATCH_ADJUSTMENTS.labels(code).inc(count)
        return web.json_response({"results": results})


Element = AdjustmentBody | ProblemError


def _elements(raw: bytes) -> list[Element]:
    """Each element as a model, or what is wrong with it. Raises for what is no batch."""
    return [_element(each) for each in AdjustmentBatchBody.model_validate(strict_json.loads(raw)).adjustments]


def _element(document: Any) -> Element:
    try:
        return AdjustmentBody.model_validate(document)
    except ValidationError as error:
        problem = refusal(error)
    adjustment_id = document.get("adjustmentId") if isinstance(document, dict) else None
    if isinstance(adjustment_id, str):
        problem.fields["adjustmentId"] = adjustment_id
    return problem


class _Batch:
    """The elements of one request on their way."""

    def __init__(self, request: web.Request, in_flight: int, deadline: float) -> None:
        self._submission = request.app[SUBMISSION]
        self._traceparent = traceparent(request)
        self._deadline = deadline
        self._places = asyncio.Semaphore(in_flight)

    async def run(self, elements: Sequence[Element]) -> list[dict[str, Any]]:
        results: dict[int, dict[str, Any]] = {}
        by_id: dict[str, list[tuple[int, AdjustmentBody]]] = {}
        for index, element in enumerate(elements):
            if isinstance(element, ProblemError):
                results[index] = element.document()
            else:
                by_id.setdefault(element.adjustment_id, []).append((index, element))
        async with asyncio.TaskGroup() as tasks:
            for same in by_id.values():
                tasks.create_task(self._run_in_order(same, results))
        return [results[index] for index in range(len(elements))]

    async def _run_in_order(
        self, same: Sequence[tuple[int, AdjustmentBody]], results: dict[int, dict[str, Any]]
    ) -> None:
        for index, body in same:
            async with self._places:
                results[index] = await self._result(body)

    async def _result(self, body: AdjustmentBody) -> dict[str, Any]:
        command = adjust_command(body)
        submission = self._submission
        try:
            submission.check_capacity(command.adjustment_id)
            with submission.expecting(command):
                position = await submission.publish(command, self._traceparent, self._deadline)
                row = await submission.outcome_of(command, position, self._deadline)
            headers = proof(command.command_id, position)
            check_outcome(row, headers)
        except ProblemError as problem:
            return problem.document() | _proven(body, problem.headers)
        return {"status": BOOKED} | _proven(body, headers)


def _proven(body: AdjustmentBody, headers: Mapping[str, str]) -> dict[str, str]:
    """The id, and what a single answer says in its headers."""
    names = {"commandId": COMMAND_ID, "logPosition": LOG_POSITION}
    proof_of = {name: headers[header] for name, header in names.items() if header in headers}
    return {"adjustmentId": body.adjustment_id, **proof_of}
