"""The agents' own books against what really happened: what left, and what the chain has."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import select

from agent.errors import EvenkeelError
from agent.proof.database import Database
from agent.proof.record import Entry, Record
from agent.proof.schema import ATTEMPT, OBSERVATION

_FACTS = ("stage", "verdict", "tx_hash", "block_hash", "reason")
_ACKNOWLEDGED = select(*(OBSERVATION.c[name] for name in _FACTS)).where(
    OBSERVATION.c.is_reported, OBSERVATION.c.stage.is_not(None)
)


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
                    done = Counter(tuple(row) for row in connection.execute(_ACKNOWLEDGED))
                record = Record(database)
                record.verify()
                outcomes = [entry.payload for entry in _entries(record) if entry.kind == "outcome"]
        except EvenkeelError as error:
            wrong.append(f"{path.name}: {error.message}")
            continue
        told |= {str(outcome["intent_id"]) for outcome in outcomes if outcome["verdict"] == "executed"}
        written = Counter(tuple(outcome[name] for name in _FACTS) for outcome in outcomes)
        if forgotten := done - written:
            wrong.append(f"{path.name}: acknowledged, and not in the record: {sorted(forgotten)[:3]}")
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
