"""Bodies that must be refused (contract, sections 2 and 8)."""

from functools import partial
from typing import Any, Final

from bitgo.conformance import expect
from bitgo.conformance.check import Group, Need
from bitgo.conformance.expect import Expected
from bitgo.conformance.probe import JSON, Probe, encoded
from bitgo.conformance.sources import CONTRACT, RFC_HTTP, RFC_JSON, SEED_ALLOCATE
from bitgo.conformance.wire import Answer
from schemas.words import Kind, Status, Verb

GROUP: Final = Group("body", "Bodies and paths that must be refused", "2", SEED_ALLOCATE)
A: Final = Kind.ALLOCATION
TOO_LARGE: Final = 64 * 1024 + 1
_TRACES: Final = ("Traceback (most recent", "\n    at ", 'File "', ".go:", "Exception in thread", "stack trace")


def _no_trace(answer: Answer) -> bool:
    return not any(each in answer.text for each in _TRACES)


NO_TRACE: Final = expect.that("no stack trace", _no_trace)
REFUSED: Final = expect.BAD_REQUEST & NO_TRACE


async def _bytes(body: bytes, expected: Expected, probe: Probe, body_words: str | None = None) -> None:
    url = probe.path(A, Verb.RESERVE)
    await probe.send("POST", url, expected, headers=JSON, body=body, body_words=body_words)


for _number, (_title, _text) in enumerate(
    (
        ("an empty body", b""),
        ("text that is no JSON", b"{not json"),
        ("JSON that is cut off", b'{"allocationId": "0000'),
        ("two documents", b"{} {}"),
        ("a list", b"[]"),
        ("a string", b'"reserve"'),
        ("null", b"null"),
        ("bytes that are no UTF-8", b'{"allocationId": "\xff\xfe"}'),
    ),
    1,
):
    GROUP.add(f"{_number:02}", f"400: {_title}", partial(_bytes, _text, REFUSED), section="8", source=RFC_JSON)


@GROUP.check(9, "400: lists 5,000 deep", section="8", source=RFC_JSON)
async def deep_lists(probe: Probe) -> None:
    await _bytes(b"[" * 5000, REFUSED, probe, "$(printf '[%.0s' $(seq 5000))")


@GROUP.check(10, "400: objects 2,000 deep", section="8", source=RFC_JSON)
async def deep_objects(probe: Probe) -> None:
    words = "$(printf '{\"a\":%.0s' $(seq 2000))1$(printf '}%.0s' $(seq 2000))"
    await _bytes(b'{"a":' * 2000 + b"1" + b"}" * 2000, REFUSED, probe, words)


async def _missing(name: str, probe: Probe) -> None:
    for kind in Kind:
        field = f"{kind}Id" if name == "id" else name
        body = probe.body(kind)
        (body["amount"] if field in ("currency", "quantity") else body).pop(field)
        await probe.reserve(kind, body, REFUSED)
        if name != "id":
            await probe.still(kind, body, None)


_REQUIRED: Final = ("id", "amount", "currency", "quantity", "clientId", "connectionId", "partnersConnectionId")
for _number, _name in enumerate(_REQUIRED, 21):
    GROUP.add(f"{_number:02}", f"400, and nothing changes: a reserve without its {_name}", partial(_missing, _name))


async def _changed(changes: dict[str, Any], probe: Probe) -> None:
    for kind in Kind:
        body = probe.body(kind)
        amount = body["amount"]
        for name, value in changes.items():
            if name == "currency":
                amount[name] = value
            else:
                body[f"{kind}Id" if name == "id" else name] = value
        await probe.reserve(kind, body, REFUSED)


CHANGES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("an id that is no UUID", {"id": "42"}),
    ("an id without dashes", {"id": "0" * 32}),
    ("an id in braces", {"id": "{00000000-0000-4000-8000-000000000000}"}),
    ("an id that is a number", {"id": 42}),
    ("a clientId that is no UUID", {"clientId": "client-1"}),
    ("a connectionId that is no UUID", {"connectionId": "connection-1"}),
    ("an empty partnersConnectionId", {"partnersConnectionId": ""}),
    ("a partnersConnectionId that is a number", {"partnersConnectionId": 7}),
    ("a partnersConnectionId that is null", {"partnersConnectionId": None}),
    ("an amount that is a number", {"amount": 5}),
    ("an amount that is a list", {"amount": [5, "BTC"]}),
    ("an empty currency", {"currency": ""}),
    ("a currency with a space", {"currency": "BTC ETH"}),
    ("a currency of 65 characters", {"currency": "X" * 65}),
    ("a currency with a control character", {"currency": "BT\x00C"}),
    ("a currency that is a number", {"currency": 1}),
    ("a text of 257 characters", {"partnersConnectionId": "x" * 257}),
    ("a text with a control character", {"partnersConnectionId": "a\x00b"}),
)
for _number, (_title, _changes) in enumerate(CHANGES, 31):
    _source = CONTRACT if _number >= 43 else SEED_ALLOCATE  # noqa: PLR2004 - the limits are the contract's own
    GROUP.add(f"{_number:02}", f"400: {_title}", partial(_changed, _changes), source=_source)


@GROUP.check(61, "an object with a repeated key is 400", source=RFC_JSON)
async def repeated_key(probe: Probe) -> None:
    text = encoded(probe.body(A))
    await _bytes(text.replace(b"{", b'{"partnersConnectionId": "another", ', 1), REFUSED, probe)


@GROUP.check(62, "a body over 64 KiB is 413, for clear and release too", section="8", source=RFC_HTTP)
async def too_large(probe: Probe) -> None:
    large = b"{" + b" " * TOO_LARGE + b"}"
    words = f"$(printf '{{%*s}}' {TOO_LARGE} '')"
    await _bytes(large, expect.status(413) & NO_TRACE, probe, words)
    body = await probe.bring(A, Status.RESERVED)
    for verb in (Verb.CLEAR, Verb.RELEASE):
        sent: dict[str, Any] = {"headers": JSON, "body": large, "body_words": words}
        await probe.finish(A, verb, body["allocationId"], expect.status(413), **sent)
    await probe.still(A, body, Status.RESERVED)


@GROUP.check(63, "a reserve whose content type is not JSON is 415", section="8", source=RFC_HTTP)
async def not_json(probe: Probe) -> None:
    body = probe.body(A)
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        await probe.send("POST", probe.path(A, Verb.RESERVE), expect.status(415), headers=headers, body=encoded(body))
    await probe.still(A, body, None)


@GROUP.both_kinds(64, "an id in the path of the {kind} that is no UUID is 400", section="8", source=CONTRACT)
async def wrong_path(probe: Probe, kind: Kind) -> None:
    for verb in (Verb.CLEAR, Verb.RELEASE):
        await probe.finish(kind, verb, "42", REFUSED)


@GROUP.check(65, "a path that is no endpoint is 404", section="11", source=RFC_HTTP)
async def unknown_path(probe: Probe) -> None:
    url = f"{probe.terms.url}{probe.terms.base_path}/allocations/of/nobody"
    await probe.send("POST", url, expect.NOT_FOUND & NO_TRACE, headers=JSON, body=encoded(probe.body(A)))


@GROUP.check(66, "and says unknown_path, never not_found", section="11", source=CONTRACT, needs=[Need.UNPUBLISHED])
async def unknown_path_code(probe: Probe) -> None:
    base = f"{probe.terms.url}{probe.terms.base_path}"
    said = expect.NOT_FOUND & expect.member("code", equals="unknown_path")
    for method, path in (("GET", "/nothing"), ("PUT", f"/allocation/{probe.body(A)['allocationId']}/clear/again")):
        await probe.send(method, base + path, said)
