"""What a request says, and the limits on it (contract, section 2)."""

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request

from ingress.http.problems import ProblemError
from ingress.http.requests import RECEIVE_SECONDS, Slots, path_id, read_body, read_model, traceparent, wants_async
from schemas.fields import BODY_MAX_BYTES
from schemas.http import RESERVE_BODIES
from schemas.words import Kind

BODY = {
    "allocationId": "0B0E4A5E-2c56-4a3c-9f2e-6a7d3f8b1c22",
    "amount": {"currency": "BTC", "quantity": 5},
    "clientId": "11111111-1111-4111-8111-111111111111",
    "connectionId": "22222222-2222-4222-8222-222222222222",
    "partnersConnectionId": "account",
    "partnerAllocationId": "mine",
}
JSON = {"Content-Type": "application/json"}


def request(body: bytes | None = b"", headers: dict[str, str] | None = None, **options: Any) -> web.Request:
    """A POST whose body came with its head; for None, one whose body does not come."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    protocol.connection_made(asyncio.Transport())
    payload = StreamReader(protocol, 2**16, loop=loop)
    if body is not None:
        payload.feed_data(body)
        payload.feed_eof()
    app = web.Application()
    app[RECEIVE_SECONDS] = 0.05
    return make_mocked_request(
        "POST", "/", headers or {}, app=app, payload=payload, client_max_size=BODY_MAX_BYTES, **options
    )


def soon() -> float:
    return asyncio.get_running_loop().time() + 5


async def refused(made: web.Request) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        await read_model(made, RESERVE_BODIES[Kind.ALLOCATION], soon())
    return caught.value


async def test_given_a_reserve_then_its_model_is_read() -> None:
    body = await read_model(request(json.dumps(BODY).encode(), JSON), RESERVE_BODIES[Kind.ALLOCATION], soon())
    assert ("0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22", 5) == (body.id, body.amount.quantity.base_units)


@pytest.mark.parametrize("declared", [True, False], ids=["declared", "chunked"])
@pytest.mark.parametrize(("size", "fits"), [(BODY_MAX_BYTES, True), (BODY_MAX_BYTES + 1, False)])
async def test_given_a_size_then_64_kib_is_the_most(size: int, fits: bool, declared: bool) -> None:  # noqa: FBT001
    made = request(b"x" * size, {"Content-Length": str(size)} if declared else {})
    if fits:
        assert size == len(await read_body(made, soon()))
        return
    with pytest.raises(ProblemError) as caught:
        await read_body(made, soon())
    assert (413, "too_large") == (caught.value.status, caught.value.code)


async def test_given_a_declared_size_over_the_limit_then_nothing_of_it_is_awaited() -> None:
    with pytest.raises(ProblemError) as caught:
        await read_body(request(None, {"Content-Length": str(BODY_MAX_BYTES + 1)}), soon())
    assert 413 == caught.value.status


async def test_given_a_body_that_does_not_come_then_it_is_too_slow() -> None:
    with pytest.raises(ProblemError) as caught:
        await read_body(request(None), soon())
    assert (408, "too_slow") == (caught.value.status, caught.value.code)


@pytest.mark.parametrize(
    "error", [web.RequestPayloadError("cut"), ConnectionResetError()], ids=lambda e: type(e).__name__
)
async def test_given_a_body_that_breaks_off_then_it_is_incomplete(error: Exception) -> None:
    made = request(None)
    made.content.set_exception(error)
    with pytest.raises(ProblemError) as caught:
        await read_body(made, soon())
    assert (400, "incomplete") == (caught.value.status, caught.value.code)


@pytest.mark.parametrize(
    "given",
    [
        *("application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.bitgo+json"),
        *("application/json; charset*", "application/json;a*;", "application/json ;", 'application/json; a="'),
    ],
)
async def test_given_a_type_of_json_then_it_is_read(given: str) -> None:
    made = request(json.dumps(BODY).encode(), {"Content-Type": given})
    assert "account" == (await read_model(made, RESERVE_BODIES[Kind.ALLOCATION], soon())).partners_connection_id


@pytest.mark.parametrize(
    "given",
    [
        *("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/+json"),
        *("text/plain; a*", ";", "application/json, application/json", "application"),
    ],
)
async def test_given_another_type_then_it_is_not_json(given: str) -> None:
    problem = await refused(request(json.dumps(BODY).encode(), {"Content-Type": given}))
    assert (415, "not_json") == (problem.status, problem.code)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
async def test_given_a_compressed_body_then_it_is_refused(encoding: str) -> None:
    problem = await refused(request(b"x", JSON | {"Content-Encoding": encoding}))
    assert (415, "compressed") == (problem.status, problem.code)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"null", b"[]", b"{", b"\xff\xfe", b'"text"', b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 60_000),
        *(b'{"allocationId": "\\ud800"}', b'{"amount": ' + b"9" * 60_000 + b"}"),
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_given_no_reserve_then_errors_are_listed(body: bytes) -> None:
    problem = await refused(request(body, JSON))
    assert (400, "bad_request") == (problem.status, problem.code)
    assert all({"field", "message"} == error.keys() for error in problem.fields["errors"])
    assert problem.detail


async def test_given_wrong_fields_then_each_is_named() -> None:
    wrong = {
        "allocationId": "x",
        "amount": {"currency": "", "quantity": 0},
        "clientId": None,
        "partnersConnectionId": "",
        "partnerClientId": 5,
    }
    problem = await refused(request(json.dumps(wrong).encode(), JSON))
    expected = {"allocationId", "amount.currency", "amount.quantity", "clientId", "connectionId"}
    expected |= {"partnersConnectionId", "partnerClientId"}
    assert expected == {error["field"] for error in problem.fields["errors"]}
    assert "Value error" not in problem.detail


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("bad", ["x", "0b0e4a5e2c564a3c9f2e6a7d3f8b1c22", "\x00", "/", "é", "1" * 300, ""])
async def test_given_a_path_without_a_uuid_then_the_field_is_named(kind: Kind, bad: str) -> None:
    with pytest.raises(ProblemError) as caught:
        path_id(request(match_info={"id": bad}), kind)
    assert (400, f"{kind}Id") == (caught.value.status, caught.value.fields["errors"][0]["field"])


async def test_given_an_id_in_capitals_then_it_is_known_in_small_letters() -> None:
    made = request(match_info={"id": BODY["allocationId"]})
    assert "0b0e4a5e-2c56-4a3c-9f2e-6a7d3f8b1c22" == path_id(made, Kind.ALLOCATION)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("respond-async", True),
        ("Respond-Async", True),
        ("wait=5, respond-async; x=1", True),
        ("respond-async-never", False),
        ("return=minimal", False),
        ("", False),
    ],
)
async def test_given_a_preference_then_only_respond_async_is_one(given: str, wanted: bool) -> None:  # noqa: FBT001
    assert wanted == wants_async(request(headers={"Prefer": given}))


async def test_given_a_trace_then_it_goes_on_and_junk_is_replaced() -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    assert trace == traceparent(request(headers={"traceparent": trace}))
    made = {traceparent(request(headers={"traceparent": junk})) for junk in ("junk", f"{trace}x", f"00-{'0' * 32}")}
    assert all(re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", each) for each in made)
    assert 3 == len(made)


def test_given_all_slots_taken_then_the_next_is_overloaded_until_one_is_free() -> None:
    slots = Slots(2)
    with slots:
        with slots, pytest.raises(ProblemError) as caught, slots:
            pass
        assert (503, "overloaded", "1") == (caught.value.status, caught.value.code, caught.value.headers["Retry-After"])
        with slots:
            pass


def test_given_a_failure_inside_then_the_slot_is_free_again() -> None:
    slots = Slots(1)
    for _ in range(2):
        with pytest.raises(KeyError), slots:
            raise KeyError


def test_given_a_request_that_is_many_then_it_takes_half_of_the_free_places_at_most() -> None:
    slots = Slots(10)
    with slots, slots.several(3) as few, slots.several(100) as many, slots.several(100) as rest:
        assert (3, 3, 1) == (few, many, rest)
        with slots:
            pass
    with slots, slots.several(100) as again:
        assert 4 == again
