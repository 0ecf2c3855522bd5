"""A journal in a file: WAL, every commit synced, one process at a time."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from agent.errors import ConfigInvalid, EvenkeelError, JournalCorrupt, JournalLocked, JournalUnwritable
from agent.proof.store import NONE_YET, Access

BUSY_MS = 5_000
HEADER_BYTES = 100
# SQLITE_ERROR is what a missing table or column gives: the file is not what its version says.
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


class Sqlite:
    """Implements `agent.proof.store.Store`. The path is a file's."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = -1
        self._file: os.stat_result | None = None  # as it was opened, by its owner only

    @property
    def place(self) -> str:
        """The file's path."""
        return str(self._path)

    def open(self, access: Access) -> Engine:
        """Raises JournalLocked, JournalUnwritable, JournalCorrupt; ConfigInvalid for a reader of no file."""
        if access is Access.OWNER:
            self._lock, self._file = _locked(self._path)
        elif not self._path.exists():
            raise ConfigInvalid(key="run.journal", value=self.place, reason=NONE_YET)
        if 0 < self._path.stat().st_size < HEADER_BYTES:  # SQLite would begin a new one in it
            self.close()
            raise JournalCorrupt(path=self.place, reason="it was cut short")
        return _engine(self._path, read_only=access is Access.READER)

    def examine(self, connection: Connection) -> None:
        """Every page. Raises JournalCorrupt."""
        faults = connection.exec_driver_sql("PRAGMA quick_check(1)").scalars().all()
        if faults != ["ok"]:
            raise JournalCorrupt(path=self.place, reason=str(faults[0]))

    def claim(self, connection: Connection) -> None:
        """The kernel keeps the lock; nothing is written down."""

    def require(self, connection: Connection) -> None:
        """Both files are still the ones that were opened: what is written to a removed file is lost, and
        a removed lock holds nobody off. Raises JournalLocked, JournalUnwritable.
        """
        if self._file is None:
            return
        if not _is_at(os.fstat(self._lock), _lock_of(self._path)):
            raise JournalLocked(path=self.place, pid="unknown (its lock file was removed)")
        if not _is_at(self._file, self._path):
            raise JournalUnwritable(path=self.place, reason="the file was removed while it was open")

    def typed(self, error: DBAPIError) -> EvenkeelError:
        """By SQLite's code."""
        cause = error.orig
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _CORRUPT:
            return JournalCorrupt(path=self.place, reason=str(cause))
        return JournalUnwritable(path=self.place, reason=str(cause))

    def close(self) -> None:
        """Again is harmless."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _engine(path: Path, *, read_only: bool) -> Engine:
    mode = "ro" if read_only else "rwc"
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:  # not through SQLAlchemy's URL, which takes a path's "?" for its own
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=0, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # SQLAlchemy says BEGIN itself, see below
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
        if not read_only:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _lock_of(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _is_at(opened: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(opened, path.stat())
    except OSError:
        return False


def _locked(path: Path) -> tuple[int, os.stat_result]:
    """A lock that the kernel lets go of when the process ends, however it ends; and which file it is of."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(_lock_of(path), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise JournalUnwritable(path=path, reason=error.strerror or str(error)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        pid = os.pread(handle, 20, 0).decode(errors="replace").strip()
        os.close(handle)
        raise JournalLocked(path=path, pid=pid or "unknown") from error
    with suppress(OSError):  # on a full disk it holds without a name in it
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
    try:  # SQLite would make it for everybody to read; its side files take after it
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        return handle, path.stat()
    except OSError as error:
        os.close(handle)
        raise JournalUnwritable(path=path, reason=error.strerror or str(error)) from error
