"""The journal's file: one process at a time, every commit on the disk before it returns."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from agent.errors import EvenkeelError, JournalCorrupt, JournalLocked, JournalUnwritable
from agent.proof.schema import METADATA, MIGRATIONS, Migration, prepare, read_version

Clock = Callable[[], float]  # Unix seconds
BUSY_MS = 5_000
# SQLITE_ERROR is what a missing table or column gives: the file is not what its version says.
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}


class Database:
    """An open file. Use as a context, or call `close`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        migrations: Sequence[Migration] = MIGRATIONS,
        *,
        read_only: bool = False,
        guest: bool = False,
    ) -> None:
        """Create or open, check and migrate.

        ``read_only`` looks at a file that an agent may be running on, and changes nothing; a ``guest`` may
        write a row beside it. Raises JournalLocked, JournalUnwritable, JournalCorrupt.
        """
        self.path = path
        self._clock = clock
        self._is_closed = False
        self._lock = -1 if read_only or guest else _locked(path)
        self._engine = _engine(path, read_only=read_only)
        try:
            self._open(migrations, as_is=read_only or guest)
        except EvenkeelError:
            self.close()
            raise

    def now_s(self) -> int:
        """The time that rows carry."""
        return int(self._clock())

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of it is on the disk when the block ends, or none. Raises JournalUnwritable, JournalCorrupt."""
        if self._is_closed:
            raise JournalUnwritable(path=self.path, reason="it was closed")
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise self._typed(error) from error

    def close(self) -> None:
        """Close the file and let go of it; again is harmless."""
        self._is_closed = True
        self._engine.dispose()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, migrations: Sequence[Migration], *, as_is: bool) -> None:
        with self.transaction() as connection:
            faults = connection.exec_driver_sql("PRAGMA quick_check(1)").scalars().all()
            if faults != ["ok"]:
                raise JournalCorrupt(path=self.path, reason=str(faults[0]))
            if not as_is:
                prepare(connection, str(self.path), self.now_s(), migrations)
                return
            tables = set(METADATA.tables) & set(
                connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars()
            )
            found, present = read_version(connection, str(self.path), tables), len(migrations) + 1
            if found != present:
                reason = f"its schema is {found}; this program reads {present}"
                raise JournalCorrupt(path=self.path, reason=reason)

    def _typed(self, error: DBAPIError) -> EvenkeelError:
        cause = error.orig
        code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        if code in _CORRUPT:
            return JournalCorrupt(path=self.path, reason=str(cause))
        return JournalUnwritable(path=self.path, reason=str(cause))


def _engine(path: Path, *, read_only: bool) -> Engine:
    mode = "ro" if read_only else "rwc"
    begin = "BEGIN" if read_only else "BEGIN IMMEDIATE"
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:  # not through SQLAlchemy's URL, which takes a path's "?" for its own
        return sqlite3.connect(uri, uri=True, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connect, poolclass=QueuePool, pool_size=1, max_overflow=0)

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


def _locked(path: Path) -> int:
    """A lock that the kernel lets go of when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
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
    except OSError as error:
        os.close(handle)
        raise JournalUnwritable(path=path, reason=error.strerror or str(error)) from error
    return handle
