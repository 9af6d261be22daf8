"""The HTTP body of a reserve: schemas/strict_json.py and schemas/http.py, and the way from there to the processor.

Whatever the bytes are: NotJsonError, ValidationError, or a body. A refusal is a short problem document. What is taken
obeys every limit, says the same when it is written again in its own edition, and is a command that the processor reads.
"""

import json
from datetime import UTC, datetime

from pydantic import ValidationError

from ingress.http.problems import ProblemError
from ingress.http.requests import refusal
from ingress.submit import reserve_command
from schemas import strict_json
from schemas.fields import BODY_MAX_BYTES, CURRENCY_MAX_CHARACTERS, TEXT_MAX_CHARACTERS, is_text
from schemas.http import RESERVE_BODIES, ReserveBody
from schemas.quantity import QUANTITY_MAX
from schemas.records import decode_command, encode_command, key_of
from schemas.topics import partition_of
from schemas.words import AfterFinal, Kind
from tests.fuzz.journey import through_the_batch

REFUSAL_MAX_BYTES = 16 * 1024


def check(data: bytes) -> None:
    if len(data) > BODY_MAX_BYTES:
        return
    for kind in Kind:
        try:
            body = RESERVE_BODIES[kind].model_validate(strict_json.loads(data))
        except (strict_json.NotJsonError, ValidationError) as error:
            _check_refusal(refusal(error))
        else:
            _check_taken(kind, body)


def _check_refusal(problem: ProblemError) -> None:
    response = problem.response()
    assert response.status == 400
    assert isinstance(response.body, bytes)
    assert len(response.body) <= REFUSAL_MAX_BYTES
    assert json.loads(response.body)["errors"]


def _check_taken(kind: Kind, body: ReserveBody) -> None:
    assert 1 <= body.amount.quantity.base_units <= QUANTITY_MAX
    assert 1 <= len(body.amount.currency) <= CURRENCY_MAX_CHARACTERS
    assert body.partners_connection_id
    texts = [value for value in body.model_dump().values() if isinstance(value, str)]
    assert all(len(text) <= TEXT_MAX_CHARACTERS and is_text(text) for text in texts)
    assert body == RESERVE_BODIES[kind].model_validate(strict_json.loads(_written_again(body)))
    command = reserve_command(body, AfterFinal.CONFLICT)
    key = key_of(command.allocation_id)
    home = partition_of(key, 8)
    assert command == decode_command(key, encode_command(command), home, 8)
    row = through_the_batch(key, encode_command(command), [], home, datetime.now(UTC))
    assert row["command_id"] == command.command_id


def _written_again(body: ReserveBody) -> bytes:
    """The body as its caller would send it again: by its own names, the quantity in its own form."""
    document = body.model_dump(by_alias=True, exclude_none=True)
    quantity = body.amount.quantity
    units = quantity.base_units
    document["amount"]["quantity"] = str(units) if quantity.form == "string" else units
    return json.dumps(document).encode()
