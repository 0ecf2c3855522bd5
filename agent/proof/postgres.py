"""A journal on a PostgreSQL server: one schema an agent, one session that holds the lock and does the work.

The lock is an advisory one of that session. When the connection is lost the lock is lost with it, and so is
whatever was not committed: nothing can be written without it. The next transaction takes it again on a new
connection, unless somebody else has opened the journal meanwhile.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from contextlib import ExitStack, suppress
from hashlib import sha256
from typing import NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from agent.errors import ConfigInvalid, EvenkeelError, JournalCorrupt, JournalLocked, JournalUnwritable
from agent.proof.session import Session, Text
from agent.proof.store import Access

KEY = "run.journal_url"
SCHEMA = "evenkeel"  # unless the address says ?schema=
CONNECT_S = 5
STATEMENT_MS = 10_000
LOCK_MS = 5_000
GRACE_S = 1.0  # longest wait for a holder that seems to live
GHOST_S = 40.0  # and for one that has ended: the server needs its keepalives to notice a cut line
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
_SETTINGS = {
    "client_encoding": "UTF8",
    "statement_timeout": str(STATEMENT_MS),
    "lock_timeout": str(LOCK_MS),
    "idle_in_transaction_session_timeout": "60000",
    "tcp_keepalives_idle": "10",  # the server's side: until it notices, a dead machine's lock holds
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}
_SAFE = {"fsync": ("on",), "full_page_writes": ("on",), "server_encoding": ("UTF8",)}
_SYNCED = ("on", "remote_apply")
_LEVELS = {
    Access.OWNER: psycopg.IsolationLevel.SERIALIZABLE,
    Access.GUEST: psycopg.IsolationLevel.READ_COMMITTED,
    Access.READER: psycopg.IsolationLevel.REPEATABLE_READ,
}
_CORRUPT = {"XX001", "XX002", "58P01"}  # damaged pages, damaged index, a file of the server's is gone
_ADVICE = {
    "": "check that the server runs and that the address is right",
    "25006": "it is a standby or set to read only; give the address of the primary",
    "42501": "grant the role CREATE on the database, or make it the owner of the schema",
    "53100": "free space on the server's disk",
    "53300": "raise max_connections of the server or close other clients",
    "55P03": "something else locks its tables",
    "57014": f"it took longer than {STATEMENT_MS // 1000} s",
    "57P01": "somebody ended the connection or the server",
}
_MINE = """locktype = 'advisory' AND objsubid = 1 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = {lock}"""


class Postgres:
    """Implements `agent.proof.store.Store`. ``url``: a libpq URI, which may carry ``schema`` in its query.

    Raises ConfigInvalid for another address, without showing it.
    """

    def __init__(self, url: str) -> None:
        self._parameters, self._schema = _parsed(url)
        host, port = self._parameters.get("host", "local socket"), self._parameters.get("port", "5432")
        self.place = f"postgresql://{host}:{port}/{self._parameters['dbname']} (schema {self._schema})"
        digest = sha256(f"evenkeel journal {self._schema}".encode()).digest()
        self._mine = _MINE.format(lock=int.from_bytes(digest[:8], "big", signed=True))
        self._lock = int.from_bytes(digest[:8], "big", signed=True)
        self._holder = f"{os.getpid()} on {_host()}"
        self._name = f"evenkeel {self._holder} #{secrets.token_hex(4)}"
        self._opening = 0

    def __reduce__(self) -> NoReturn:
        raise TypeError("it holds a password")

    def open(self, access: Access) -> Engine:
        """Nothing is asked of the server before the first transaction."""
        return create_engine(
            "postgresql+psycopg://",
            creator=lambda: self._connect(access),
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=0,
            pool_pre_ping=True,
            hide_parameters=True,
            use_native_hstore=False,
        )

    def examine(self, connection: Connection) -> None:
        """The server checks its pages itself, where it was set up with checksums."""

    def claim(self, connection: Connection) -> None:
        """Count this opening, so that whoever had it before notices."""
        sql = connection.exec_driver_sql
        sql("CREATE TABLE IF NOT EXISTS opening (number BIGINT NOT NULL, holder TEXT NOT NULL)")
        number = sql("SELECT number FROM opening").scalar()
        if number is None:
            sql("INSERT INTO opening VALUES (0, '')")
        self._opening = int(number or 0) + 1
        sql("UPDATE opening SET number = %s, holder = %s", (self._opening, self._holder))

    def require(self, connection: Connection) -> None:
        """Raises JournalLocked when the lock is not this session's, or somebody had it in between."""
        held = f"EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND {self._mine})"
        found = connection.exec_driver_sql(f"SELECT number, holder, {held} FROM opening").first()
        if found is None or found[0] != self._opening or not found[2]:
            raise JournalLocked(path=self.place, pid="unknown" if found is None else found[1])

    def typed(self, error: DBAPIError) -> EvenkeelError:
        """By SQLSTATE."""
        cause = error.orig
        state = getattr(cause, "sqlstate", None) or ""
        diagnosis = cause.diag.message_primary if isinstance(cause, psycopg.Error) else None
        reason = " ".join((diagnosis or str(cause)).split())
        if state in _CORRUPT or (state.startswith("42") and state not in _ADVICE):
            return JournalCorrupt(path=self.place, reason=reason)
        advice = f"; {_ADVICE[state]}" if state in _ADVICE else ""
        return JournalUnwritable(path=self.place, reason=reason + advice)

    def close(self) -> None:
        """The lock went with the connection."""

    # --- inside ------------------------------------------------------------------------------------

    def _connect(self, access: Access) -> Session:
        with ExitStack() as undo:
            session = Session.connect(
                **{"connect_timeout": CONNECT_S, **_KEEPALIVE, **self._parameters},  # type: ignore[arg-type]
                application_name=self._name,
                autocommit=True,
                prepare_threshold=None,  # a migration changes what a prepared statement would return
            )
            undo.callback(session.close)
            session.adapters.register_dumper(str, Text)
            settings = [*_SETTINGS.items(), ("search_path", self._schema)]
            calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
            session.execute(f"SELECT {calls}".encode(), [word for pair in settings for word in pair])
            if access is Access.OWNER:
                self._require_safe(session)
                self._take_lock(session)
                self._make_schema(session)
            elif access is Access.GUEST:
                self._require_safe(session)
            session.isolation_level = _LEVELS[access]
            session.read_only = True if access is Access.READER else None
            session.autocommit = False
            undo.pop_all()
            return session

    def _require_safe(self, session: Session) -> None:
        """Raises ConfigInvalid for a server on which what was committed may be gone after a crash."""
        if _setting(session, "synchronous_commit") not in _SYNCED:
            session.execute("SET synchronous_commit = on")
        for name, allowed in _SAFE.items():
            value = _setting(session, name)
            if value not in allowed:
                reason = f"the server's {name} is {value}; a journal needs {' or '.join(allowed)}"
                raise ConfigInvalid(key=KEY, value=self.place, reason=reason)

    def _take_lock(self, session: Session) -> None:
        began = time.monotonic()
        while not _value(session, f"SELECT pg_try_advisory_lock({self._lock})"):
            holders = "pg_locks JOIN pg_stat_activity USING (pid)"
            query = f"SELECT pid, application_name FROM {holders} WHERE {self._mine}"
            pid, name = session.execute(query.encode()).fetchone() or (0, "")
            holder = str(name or "").removeprefix("evenkeel ").partition(" #")[0]
            is_own = name == self._name  # from a connection that we have given up
            if is_own:
                session.execute("SELECT pg_terminate_backend(%s)", (pid,))
            if time.monotonic() - began > (GHOST_S if _has_ended(holder) else GRACE_S):
                if is_own:
                    reason = "the server does not let go of the connection that was lost"
                    raise JournalUnwritable(path=self.place, reason=reason)
                raise JournalLocked(path=self.place, pid=holder or "unknown")
            time.sleep(0.05)

    def _make_schema(self, session: Session) -> None:
        if _value(session, "SELECT to_regnamespace(%s) IS NULL", self._schema):
            session.execute(f"CREATE SCHEMA {self._schema}".encode())


def _has_ended(holder: str) -> bool:
    """Whether it was a process of this machine and is gone."""
    pid, _, host = holder.partition(" on ")
    if host != _host() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except OSError as error:
        return isinstance(error, ProcessLookupError)
    return False


def _host() -> str:
    return socket.gethostname()[:24]


def _value(session: Session, query: str, *given: str) -> object:
    (value,) = session.execute(query.encode(), given or None).fetchone() or (None,)
    return value


def _setting(session: Session, name: str) -> object:
    return _value(session, "SELECT current_setting(%s)", name)


def _parsed(url: str) -> tuple[dict[str, str], str]:
    """What libpq takes, and the schema."""
    base, _, query = url.partition("?")
    fields = query.split("&") if query else []
    own = [field.removeprefix("schema=") for field in fields if field.startswith("schema=")]
    rest = "&".join(field for field in fields if not field.startswith("schema="))
    found: dict[str, str] = {}
    if base.startswith(("postgresql://", "postgres://")):
        with suppress(psycopg.Error):  # its text may quote the password
            given = conninfo_to_dict(f"{base}?{rest}" if rest else base)
            found = {name: str(value) for name, value in given.items() if value is not None}
    host, shown = found.get("host", ""), {"host": r"[\w.:/,-]*", "port": "[0-9,]*", "dbname": r"[\w.-]+"}
    # The rest of a password with a bare @ or / in it is taken for one of those that are shown.
    if not all(re.fullmatch(pattern, found.get(name, "")) for name, pattern in shown.items()):
        reason = "it must be postgresql://user:password@host:port/database, with ?schema=name if wanted"
        raise ConfigInvalid(key=KEY, value="...", reason=reason)
    schema = own[-1] if own else SCHEMA
    if not re.fullmatch(r"(?!pg_)[a-z_][a-z0-9_]{0,62}", schema):
        reason = "its schema must be lower-case letters, digits and _, at most 63, and not begin with pg_"
        raise ConfigInvalid(key=KEY, value="...", reason=reason)
    if host and not host.startswith(("/", "localhost", "127.", "::1")):
        found.setdefault("sslmode", "require")
    return found, schema
