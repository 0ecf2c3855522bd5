"""What was seen, decided, sent and come to, in a chain of hashes that only grows.

Each entry's hash covers its number, time, kind and payload and the hash before it, so an entry cannot be
changed, dropped from the middle or put in between without breaking every link after it. Whoever notes the
newest hash elsewhere can also tell if the end was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import cast

from sqlalchemy import Connection, RowMapping, Select, select

from agent.errors import JournalCorrupt
from agent.proof.database import Database
from agent.proof.schema import RECORD

GENESIS = "0" * 64
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One link. ``payload`` is JSON."""

    seq: int
    at_s: int
    kind: str
    payload: Mapping[str, object]
    before: str
    hash: str


def canonical(payload: Mapping[str, object]) -> str:
    """The one JSON text of a payload: keys sorted, no spaces, no NaN. Raises TypeError or ValueError."""
    return json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(seq: int, at_s: int, kind: str, payload: str, before: str) -> str:
    """SHA-256 of the canonical JSON array of an entry, with the payload as text; lower-case hex."""
    text = json.dumps([seq, at_s, kind, payload, before], separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


class Record:
    """Append-only, in the journal's file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, kind: str, payload: Mapping[str, object]) -> str:
        """Add a link and return its hash; it is on the disk then. ``kind`` names what the payload is.

        Raises JournalUnwritable, JournalCorrupt, and TypeError for what JSON cannot say.
        """
        text, at_s = canonical(payload), self._database.now_s()
        with self._database.transaction() as connection:
            seq, before = _end(connection)
            own = digest(seq + 1, at_s, kind, text, before)
            connection.execute(
                RECORD.insert().values(
                    seq=seq + 1, at_s=at_s, kind=kind, payload=text, before=before, hash=own
                )
            )
        return own

    def head(self) -> str:
        """The newest hash; `GENESIS` while there is nothing."""
        with self._database.transaction() as connection:
            return _end(connection)[1]

    def verify(self, must_hold: str = GENESIS) -> int:
        """The number of links, all of them checked. ``must_hold``: a hash noted earlier.

        Raises JournalCorrupt at the first broken link, or when the noted hash is not among them.
        """
        count, before, held = 0, GENESIS, must_hold == GENESIS
        with self._database.transaction() as connection:
            while rows := connection.execute(_page(count)).mappings().all():
                for row in rows:
                    count += 1
                    self._check(row, count, before)
                    before = row["hash"]
                    held = held or before == must_hold
        if not held:
            raise self._broken(f"the noted entry {must_hold} is not in the record of {count}")
        return count

    def entries(self, after: int = 0, limit: int = _PAGE, kinds: Sequence[str] = ()) -> tuple[Entry, ...]:
        """Links after number ``after``, oldest first; of these ``kinds`` only, if any are named. They are not
        checked here.
        """
        wanted = _page(after).limit(limit)
        if kinds:
            wanted = wanted.where(RECORD.c.kind.in_(kinds))
        with self._database.transaction() as connection:
            rows = connection.execute(wanted).mappings().all()
        return tuple(
            Entry(
                row["seq"],
                row["at_s"],
                row["kind"],
                cast(Mapping[str, object], json.loads(row["payload"])),
                row["before"],
                row["hash"],
            )
            for row in rows
        )

    def _check(self, row: RowMapping, seq: int, before: str) -> None:
        if row["seq"] != seq:
            raise self._broken(f"entry {seq} is missing")
        if row["before"] != before:
            raise self._broken(f"entry {seq} does not follow from the one before it")
        if digest(seq, row["at_s"], row["kind"], row["payload"], before) != row["hash"]:
            raise self._broken(f"entry {seq} was changed")

    def _broken(self, reason: str) -> JournalCorrupt:
        return JournalCorrupt(path=self._database.path, reason=reason)


def _end(connection: Connection) -> tuple[int, str]:
    last = connection.execute(
        select(RECORD.c.seq, RECORD.c.hash).order_by(RECORD.c.seq.desc()).limit(1)
    ).first()
    return (0, GENESIS) if last is None else (last.seq, last.hash)


def _page(after: int) -> Select[tuple[object, ...]]:
    return select(RECORD).where(RECORD.c.seq > after).order_by(RECORD.c.seq).limit(_PAGE)
