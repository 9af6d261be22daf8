"""Whatever libpq takes as an address, every process and every verb takes."""

from pathlib import Path

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from local.ports import reserve_port
from tests.support.cli import Ran, run
from tests.support.system import System


def several_hosts(url: str) -> str:
    """A server that is away, then the one that is there."""
    credentials, _, rest = url.removeprefix("postgresql://").rpartition("@")
    host, _, database = rest.partition("/")
    return f"postgresql://{credentials}@127.0.0.1:{reserve_port()},{host}/{database}?target_session_attrs=read-write"


def keywords(url: str) -> str:
    return make_conninfo(**conninfo_to_dict(url))


async def asked(system: System, verb: str, *arguments: object, **environment: str) -> Ran:
    return await run(
        verb,
        *arguments,
        PROCESSOR_POSTGRES_URL=system.database_url,
        PROCESSOR_KAFKA_BOOTSTRAP_SERVERS=system.kafka,
        PROCESSOR_TOPIC_PREFIX=system.prefix,
        **environment,
    )


VERBS = ("migrate", "verify", "checkpoint", "rebuild", "dead-letters")


async def ask(system: System, verb: str, folder: Path, **environment: str) -> Ran:
    arguments = {"checkpoint": (f"{folder}.checkpoint",), "rebuild": ("--resume",), "dead-letters": ("list",)}
    return await asked(system, verb, *arguments.get(verb, ()), **environment)


async def test_every_verb_takes_what_the_processes_take(system: System, tmp_path: Path) -> None:
    plain, system.database_url = system.database_url, several_hosts(system.database_url)
    await system.processor()
    system.database_url = keywords(plain)
    await system.ingress()
    await system.supervisor.stop(["ingress-0"], ["processor-0"])
    captured = tmp_path / "all.capture"
    assert 0 == (await run("capture", captured, "--kafka", system.kafka, "--prefix", system.prefix)).status
    for form in (several_hosts, keywords):
        system.database_url = form(plain)
        for verb in VERBS:
            ran = await ask(system, verb, tmp_path / form.__name__)
            assert (verb, 0) == (verb, ran.status), ran.err
        loaded = await asked(system, "load", captured, "--rewrite-ids", "1", "--postgres", system.database_url)
        assert 0 == loaded.status, loaded.err
    system.database_url = plain


async def test_every_verb_takes_the_setting_for_tls(system: System, tmp_path: Path) -> None:
    """The tests' server speaks none, and every verb says so."""
    for verb in VERBS:
        ran = await ask(system, verb, tmp_path, PROCESSOR_POSTGRES_SSLMODE="require")
        assert ran.status, verb
        assert "server does not support SSL" in ran.err, verb
    assert 0 == (await ask(system, "migrate", tmp_path, PROCESSOR_POSTGRES_SSLMODE="disable")).status
