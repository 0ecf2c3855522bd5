"""The journal's tables, open: one owner at a time, every commit on the disk before it returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from agent.errors import ConfigInvalid, JournalCorrupt, JournalLocked, JournalUnwritable
from agent.proof.schema import MIGRATIONS, Migration, prepare, read_version
from agent.proof.sqlite import Sqlite
from agent.proof.store import NONE_YET, Access, Store

Clock = Callable[[], float]  # Unix seconds


class Database:
    """An open journal, in a file or on a server. Use as a context, or call `close`. For one thread."""

    def __init__(
        self,
        where: Path | Store,
        clock: Clock,
        migrations: Sequence[Migration] = MIGRATIONS,
        *,
        read_only: bool = False,
        guest: bool = False,
    ) -> None:
        """Create or open, check and migrate. A path is a SQLite file.

        ``read_only`` looks at what an agent may be running on, and changes nothing; a ``guest`` may write a
        row beside it. Raises JournalLocked, JournalUnwritable, JournalCorrupt; ConfigInvalid when there is
        nothing to look at or the server cannot be trusted with a journal.
        """
        self._store: Store = Sqlite(where) if isinstance(where, Path) else where
        self._clock = clock
        self._is_closed = False
        self._access = Access.READER if read_only else Access.GUEST if guest else Access.OWNER
        self._is_claimed = False
        self._engine = self._store.open(self._access)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._open(migrations)
            undo.pop_all()

    @property
    def path(self) -> str:
        """Where it is, for messages; holds no secret."""
        return self._store.place

    def now_s(self) -> int:
        """The time that rows carry."""
        return int(self._clock())

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All of it is on the disk when the block ends, or none.

        Raises JournalUnwritable, JournalCorrupt, JournalLocked. Only when the answer to the commit itself was
        lost may all of it be there after JournalUnwritable; whoever looks next sees which.
        """
        if self._is_closed:
            raise JournalUnwritable(path=self.path, reason="it was closed")
        try:
            with self._engine.connect() as connection, connection.begin():
                if self._is_claimed:
                    self._store.require(connection)
                yield connection
        except JournalLocked:
            self._engine.dispose()  # a lock that came too late keeps nobody off
            raise
        except DBAPIError as error:
            raise self._store.typed(error) from error
        except (OverflowError, UnicodeError) as error:  # what a node says may be too odd to be kept
            raise JournalUnwritable(path=self.path, reason=f"a value does not fit: {error}") from error

    def close(self) -> None:
        """Let go of it; again is harmless."""
        self._is_closed = True
        self._engine.dispose()
        self._store.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self, migrations: Sequence[Migration]) -> None:
        with self.transaction() as connection:
            self._store.examine(connection)
            if self._access is Access.OWNER:
                prepare(connection, self.path, self.now_s(), migrations)
                self._store.claim(connection)
            else:
                self._require_present(connection, len(migrations) + 1)
        self._is_claimed = self._access is Access.OWNER

    def _require_present(self, connection: Connection, present: int) -> None:
        tables = set(inspect(connection).get_table_names())
        if not tables:
            raise ConfigInvalid(key="run.journal", value=self.path, reason=NONE_YET)
        found = read_version(connection, self.path, tables)
        if found != present:
            reason = f"its schema is {found}; this program reads {present}"
            raise JournalCorrupt(path=self.path, reason=reason)
