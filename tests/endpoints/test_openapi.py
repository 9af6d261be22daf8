"""The OpenAPI document, and requests generated from it: whatever comes in, no answer is a 500 or undocumented."""

import asyncio
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bitgo.client import SIGNATURE, sign
from tests.endpoints.conftest import Site

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


async def test_the_document_names_every_endpoint_of_the_contract(site: Site) -> None:
    reply = await site.bitgo.call("GET", "/openapi.json", {})
    assert ("3.1.0", 200) == (reply.body["openapi"], reply.status)
    operations = {(method.upper(), path) for path, item in reply.body["paths"].items() for method in item}
    base, network = "/bitgo/v1", "/api/network/v1/enterprises/{enterpriseId}/partners/allocations"
    expected = {("GET", network), ("GET", f"{network}/{{id}}")}
    for kind in ("allocation", "deallocation"):
        expected.add(("POST", f"{base}/{kind}s"))
        for noun in (kind, f"{kind}s"):
            expected |= {("PUT", f"{base}/{noun}/{{id}}/{verb}") for verb in ("clear", "release")}
            expected.add(("GET", f"{base}/{noun}/{{id}}"))
    connections = "/platform/v1/connections"
    expected |= {
        ("GET", path)
        for path in (
            connections,
            f"{connections}/{{connectionId}}",
            f"{connections}/{{connectionId}}/accounts",
            f"{connections}/{{connectionId}}/accounts/{{currency}}/ledger",
            f"{connections}/{{connectionId}}/history",
            "/platform/v1/allocations/{allocationId}/history",
            "/platform/v1/adjustments/{adjustmentId}/history",
            "/platform/v1/reservations",
        )
    }
    expected |= {
        ("POST", f"{base}/connections"),
        ("GET", f"{base}/connections/{{id}}"),
        ("POST", "/platform/v1/connection-tokens"),
        ("GET", "/platform/v1/connection-tokens"),
        ("DELETE", "/platform/v1/connection-tokens/{tokenHash}"),
        ("POST", "/platform/v1/adjustments"),
        ("POST", "/platform/v1/adjustments/batch"),
        ("GET", "/platform/v1/adjustments/{id}"),
        ("POST", f"{connections}/{{id}}/deactivate"),
        ("POST", f"{connections}/{{id}}/reactivate"),
    }
    assert expected == operations


@pytest.mark.timeout(300)
@pytest.mark.parametrize("examples", [3, pytest.param(100, marks=pytest.mark.long)])
async def test_generated_requests_find_no_500_and_nothing_undocumented(site: Site, examples: int) -> None:
    document = (await site.bitgo.call("GET", "/openapi.json", {})).body
    await asyncio.to_thread(_generate, site, document, examples)


def _generate(site: Site, document: dict[str, Any], examples: int) -> None:
    for result in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = result.ok()

        @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy())
        def send(case: schemathesis.Case) -> None:
            response = case.call(base_url=site.bitgo.url, headers=_headers(site, case.path), timeout=30)
            case.validate_response(response, checks=CHECKS)

        send()


def _headers(site: Site, path: str) -> dict[str, str]:
    if path.startswith("/platform/"):
        return {"Authorization": f"Bearer {(site.system.folder / 'operator-token').read_text().strip()}"}
    return {SIGNATURE: sign(site.bitgo.key)}
