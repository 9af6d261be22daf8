"""`allocations connection-token` issues and revokes what activates a connection (contract, section 6)."""

import json

from bitgo.client import activate_body
from tests.support.cli import Ran, run
from tests.support.operator import new_account
from tests.support.system import System


async def token(system: System, *options: str) -> Ran:
    return await run("connection-token", "--postgres", system.database_url, *options)


async def test_given_a_token_of_the_command_then_it_activates_until_it_is_revoked(system: System) -> None:
    await system.processor()
    async with await system.ingress() as bitgo:
        names = ("--account", new_account(), "--client", "user-1")
        ran = await token(system, *names)
        assert (0, 44) == (ran.status, len(ran.out)), ran.err
        activated = await bitgo.activate(activate_body(ran.out.strip()))
        assert (200, "user-1", names[1]) == (
            activated.status,
            activated.body["partnersClientId"],
            activated.body["partnersConnectionId"],
        )
        issued = json.loads((await token(system, *names, "--expires", "1d", "--json")).out)
        assert 0 == (await token(system, "--revoke", issued["tokenHash"])).status
        refused = await bitgo.activate(activate_body(issued["connectionToken"]))
        assert (403, "invalid_connection_token") == (refused.status, refused.body["code"])
        assert 1 == (await token(system, "--revoke", "0" * 64)).status


async def test_given_a_mistake_then_the_command_says_what_is_wrong(system: System) -> None:
    for options in (("--account", "a"), ("--account", "a", "--client", "c", "--expires", "2d"), ("--revoke", "token")):
        assert 2 == (await token(system, *options)).status
