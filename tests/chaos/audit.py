"""The agents' own books against what really happened: what left, and what the chain has."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import select

from agent.errors import EvenkeelError
from agent.proof.database import Database
from agent.proof.record import Entry, Record
from agent.proof.schema import ATTEMPT


def audit(journals: Sequence[Path], left: Iterable[str], executed: Iterable[str]) -> list[str]:
    """What is wrong, in words. ``left``: hashes of everything a node was shown by an agent; ``executed``:
    intents whose effect is on the chain."""
    known: set[str] = set()
    told: set[str] = set()
    wrong = []
    for path in journals:
        try:
            with Database(path, time.time, read_only=True) as database:
                with database.transaction() as connection:
                    known |= set(connection.execute(select(ATTEMPT.c.tx_hash)).scalars())
                record = Record(database)
                record.verify()
                told |= {str(e.payload["intent_id"]) for e in _entries(record) if _is_executed(e)}
        except EvenkeelError as error:
            wrong.append(f"{path.name}: {error.message}")
    if unwritten := set(left) - known:
        wrong.append(f"{len(unwritten)} transactions left that no journal has: {sorted(unwritten)[:3]}")
    if untold := set(executed) - told:
        wrong.append(f"{len(untold)} executed intents that no record tells of: {sorted(untold)[:3]}")
    return wrong


def _entries(record: Record) -> Iterator[Entry]:
    after = 0
    while entries := record.entries(after):
        yield from entries
        after = entries[-1].seq


def _is_executed(entry: Entry) -> bool:
    return entry.kind == "outcome" and entry.payload["verdict"] == "executed"
