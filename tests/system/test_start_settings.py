"""An ingress that is given what it must not run with ends with status 78 and a sentence, and repeats no secret."""

import asyncio

import pytest

from bitgo.client import reserve_body
from schemas.words import Kind
from service.errors import EXIT_OPERATOR
from tests.support.system import System


async def ends_with(system: System, name: str, *words: str, **settings: str) -> None:
    """The ingress ends with status 78, once, with these words."""
    await system.ingress(name, wait=False, **settings)
    async with asyncio.timeout(20):
        while not system.ended:
            await asyncio.sleep(0.05)
    assert (name, EXIT_OPERATOR) == system.ended.pop()
    said = system.log(name).read_text()
    assert "Traceback" not in said
    for word in words:
        assert word in said


async def test_a_key_that_is_none(system: System) -> None:
    await system.processor()
    wrong = system.folder / "wrong.pem"
    wrong.write_text("no key")
    await ends_with(system, "ingress-wrong", "is no public key in PEM form", bitgo_public_key_files=str(wrong))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])  # noqa: S104 - that is what is refused
async def test_an_address_that_others_reach_needs_tls(system: System, host: str) -> None:
    """Refused before anything else is looked at: no processor has started here."""
    await ends_with(system, "ingress-open", "without TLS", "INGRESS_ALLOW_PLAINTEXT=true", host=host)


async def test_where_tls_ends_in_front_the_ingress_starts(system: System) -> None:
    await system.processor()
    async with await system.ingress(host="0.0.0.0", allow_plaintext="true") as bitgo:  # noqa: S104
        body = reserve_body(Kind.ALLOCATION)
        assert 200 == (await bitgo.reserve(Kind.ALLOCATION, body)).status


async def test_a_malformed_address_of_the_database_is_not_repeated(system: System) -> None:
    secret = "hunter2hunter2"
    address = f"postgresql://user:p/{secret}@127.0.0.1:5432/database"
    await ends_with(system, "ingress-odd", "INGRESS_POSTGRES_URL: must be postgresql://", postgres_url=address)
    assert secret not in system.log("ingress-odd").read_text()


async def test_an_operators_token_in_the_place_of_its_hash_is_not_logged(system: System) -> None:
    secret, file = "hunter2hunter2", system.folder / "operators.json"
    file.write_text(f'[{{"name": "a", "sha256": "{secret}", "permissions": []}}]')
    await system.processor()
    await ends_with(system, "ingress-odd", "is no list of operator tokens", operator_tokens_file=str(file))
    assert secret not in system.log("ingress-odd").read_text()
