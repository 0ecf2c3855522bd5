"""Where a journal can be kept: the shape that a file and a server share."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from agent.errors import EvenkeelError

NONE_YET = "there is no journal yet; run --live first"


class Access(Enum):
    """Who opens it."""

    OWNER = "owner"  # the one agent that runs on it
    GUEST = "guest"  # may write a row beside the owner
    READER = "reader"  # changes nothing


class Store(Protocol):
    """Implemented by `agent.proof.sqlite.Sqlite` and `agent.proof.postgres.Postgres`."""

    @property
    def place(self) -> str:
        """Where it is, for people; holds no secret."""

    def open(self, access: Access) -> Engine:
        """Take the owner's lock, then give an engine of one connection, on which a commit that returned
        is on the disk. Raises JournalLocked, JournalUnwritable, ConfigInvalid.
        """

    def examine(self, connection: Connection) -> None:
        """Look for damage, once after opening. Raises JournalCorrupt."""

    def claim(self, connection: Connection) -> None:
        """In the transaction that opens it as its owner, when the tables are there."""

    def require(self, connection: Connection) -> None:
        """At the beginning of every later transaction: it is still ours. Raises JournalLocked."""

    def typed(self, error: DBAPIError) -> EvenkeelError:
        """What the driver said, in our words."""

    def close(self) -> None:
        """Let go of the lock, after the engine was disposed of."""
