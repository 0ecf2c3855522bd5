"""A real PostgreSQL of our own, and journals that are kept on it or in a file."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import psycopg
import pytest

from agent.proof.database import Database
from agent.proof.postgres import Postgres

PASSWORD = "hard/to:guess@all"
QUOTED = "hard%2Fto%3Aguess%40all"


class Server:
    """One server process on a loopback port, as a user that is not root. Its files go away with it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._as: list[str] = []
        self.owner = pwd.getpwuid(os.geteuid()).pw_name
        self.folder = Path(tempfile.mkdtemp(prefix="evenkeel-pg-"))
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            name = next(user.pw_name for user in pwd.getpwall() if user.pw_name in ("postgres", "nobody"))
            account = pwd.getpwnam(name)
            self.owner = name
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            ids = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            self._as = ["setpriv", *ids, "--pdeathsig=INT"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        secret = self.folder / "secret"
        secret.write_text(PASSWORD + "\n")
        secret.chmod(0o644)
        command = ["initdb", "-D", "data", "-U", "boss", "--pwfile=secret", "--auth=scram-sha-256"]
        self._run([*command, "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-sync"])
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *settings: str) -> None:
        """Serving when this returns. ``settings`` are name=value."""
        common = ("listen_addresses=127.0.0.1", f"port={self.port}", "max_connections=40")
        options = [part for one in (*common, *settings) for part in ("-c", one)]
        options += ["-c", f"unix_socket_directories={self.folder}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as, self._programs / "postgres", "-D", "data", *options],
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        for _ in range(400):
            with suppress(psycopg.OperationalError):
                self.do("SELECT 1")
                return
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        raise AssertionError("it does not start")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends every connection at once and shuts down."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """As a power cut ends it: all of its processes, nothing flushed. A child of ours may do it, too."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *(int(child) for child in children)):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        while any(Path(f"/proc/{child}").exists() for child in children):
            time.sleep(0.01)

    def revive(self) -> None:
        """After a `kill`."""
        assert self._process is not None
        self._process.wait(30)
        self.start()

    @staticmethod
    @contextmanager
    def silent() -> Iterator[int]:
        """A port that takes connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield int(listener.getsockname()[1])

    def do(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """As the server's owner, on a connection of its own."""
        with psycopg.connect(self.url(database=database, schema=""), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def url(
        self,
        schema: str = "evenkeel",
        database: str = "postgres",
        user: str = "boss",
        password: str = QUOTED,
        port: int = 0,
    ) -> str:
        query = f"?schema={schema}" if schema else ""
        return f"postgresql://{user}:{password}@127.0.0.1:{port or self.port}/{database}{query}"

    def sessions(self) -> list[int]:
        """The server processes that serve an agent."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'evenkeel %'"
        return [int(str(pid)) for (pid,) in self.do(query)]

    def close(self) -> None:
        self.stop(signal.SIGQUIT)  # it need not write anything for later
        shutil.rmtree(self.folder)

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            [*self._as, self._programs / command[0], *command[1:]],
            cwd=self.folder,
            check=False,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()


def later(delay_s: float, work: Callable[[], object]) -> int:
    """The process id of a child that does it then and ends, however it went."""
    child = os.fork()
    if child == 0:
        try:
            time.sleep(delay_s)
            work()
        finally:
            os._exit(0)
    return child


def installed() -> Path | None:
    """The folder of the newest server's programs."""
    found = [Path(path).parent for path in [shutil.which("postgres")] if path]
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found += [path.parent for path in sorted(debian, key=lambda path: -float(path.parent.parent.name))]
    return found[0] if found else None


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for the whole run; a test takes a schema of its own. Use `own_server` to stop or break it."""
    yield from _served()


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """One for the module, which may do anything to it, and leaves it running."""
    yield from _served()


def _served() -> Iterator[Server]:
    programs = installed()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (Debian: apt-get install postgresql)")
    server = Server(programs)
    try:
        server.start()
        yield server
    finally:
        server.close()


@dataclass
class Kept:
    """Where the journals of a test are: in files, or each in a schema of a server."""

    server: Server | None
    opened: list[Database] = field(default_factory=list)

    @property
    def is_file(self) -> bool:
        return self.server is None

    def place(self, path: Path) -> Path | Postgres:
        return path if self.server is None else Postgres(self.server.url(schema_of(path)))

    def open(self, path: Path, clock: Callable[[], float] = time.time, **how: object) -> Database:
        """The journal of that name, by whom and as the keywords say."""
        database = Database(self.place(path), clock, **how)  # type: ignore[arg-type]
        self.opened.append(database)
        return database


def schema_of(path: Path) -> str:
    return "j" + sha256(str(path).encode()).hexdigest()[:16]


@pytest.fixture(params=["sqlite", "postgresql"])
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Both engines, one after the other."""
    found = Kept(request.getfixturevalue("server") if request.param == "postgresql" else None)
    yield found
    for database in found.opened:
        database.close()


def token() -> str:
    return "j" + secrets.token_hex(6)
