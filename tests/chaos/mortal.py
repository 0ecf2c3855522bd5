"""The parts of an agent that fail on command: it dies at a commit, its signer errs, its disk is full."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eth_utils.crypto import keccak
from sqlalchemy import Connection

from agent.chain.rpc import Rpc
from agent.errors import SignerRefused, SignerUnavailable
from agent.proof.database import Clock, Database
from agent.proof.journal import Journal
from agent.proof.record import Record
from agent.tx.custody.keystore import KeystoreSigner
from agent.tx.errand import Errand
from agent.tx.ladder import Rung
from agent.tx.ledger import Outcome, Request
from agent.tx.signer import GROUP_ORDER
from agent.values.address import Address, TxHash


@dataclass
class Reaper:
    """Kills its own process at the places it was told, without a last word to anybody but the conductor."""

    channel: socket.socket
    due: list[dict[str, str]] = field(default_factory=list)
    place: str = ""

    def strike(self, place: str, side: str) -> None:
        for order in self.due:
            if order["at"] == place and order["side"] == side:
                say(self.channel, {"killed": order["id"]})
                os.kill(os.getpid(), signal.SIGKILL)


class MortalDatabase(Database):
    """Every commit is a place to die at."""

    def __init__(self, path: Path, clock: Clock, reaper: Reaper) -> None:
        self._reaper = reaper
        super().__init__(path, clock)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        place, self._reaper.place = self._reaper.place, ""
        with super().transaction() as connection:
            yield connection
            if place:
                self._reaper.strike(place, "before")
        if place:
            self._reaper.strike(place, "after")


class MortalJournal(Journal):
    """Says which commit is which."""

    def __init__(self, database: Database, reaper: Reaper) -> None:
        super().__init__(database)
        self._reaper = reaper

    def open(self, errand: Errand) -> Errand:
        self._reaper.place = "open:planned"
        return super().open(errand)

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        self._reaper.place = f"save:{errand.state.value}"
        super().save(errand, outcomes)

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        self._reaper.place = "acknowledge"
        super().acknowledge(outcomes)

    def climb(self, errand: Errand, rungs: Sequence[Rung]) -> None:
        self._reaper.place = "climb"
        super().climb(errand, rungs)

    def close_request(self, request: Request, answer: str) -> None:
        self._reaper.place = "close_request"
        super().close_request(request, answer)


class MortalRecord(Record):
    """The same for the record."""

    def __init__(self, database: Database, reaper: Reaper) -> None:
        super().__init__(database)
        self._reaper = reaper

    def append(self, kind: str, payload: Mapping[str, object]) -> str:
        self._reaper.place = f"append:{kind}"
        return super().append(kind, payload)


class MortalRpc(Rpc):
    """The moment before something leaves, and the one before its answer is written down."""

    def __init__(self, endpoint: str, timeout_s: float, reaper: Reaper) -> None:
        super().__init__(endpoint, timeout_s)
        self._reaper = reaper

    def send_raw(self, raw: bytes) -> TxHash:
        self._reaper.strike("send", "before")
        answer = super().send_raw(raw)
        self._reaper.strike("send", "after")
        return answer


class MoodySigner:
    """A signer that answers late, not at all, wrongly or with a high s when it is told to."""

    def __init__(self, inner: KeystoreSigner) -> None:
        self._inner = inner
        self.mood = ""
        self.met = 0

    @property
    def address(self) -> Address:
        return self._inner.address

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        self.met += bool(self.mood)
        match self.mood:
            case "timeout":
                raise SignerUnavailable(signer=self.address, reason="it did not answer in time")
            case "refuses":
                raise SignerRefused(signer=self.address, reason="its policy says no")
            case "another key":
                r, s = self._inner.sign_digest(digest)
                return r, (s + 1) % GROUP_ORDER
            case "out of range":
                return 0, GROUP_ORDER
            case "another digest":
                return self._inner.sign_digest(keccak(digest))
            case "high-s":
                r, s = self._inner.sign_digest(digest)
                return r, max(s, GROUP_ORDER - s)
        return self._inner.sign_digest(digest)


class Disk:
    """Full when it is told to be: either SQLite gets no more room, or every write fails."""

    def __init__(self) -> None:
        self._ceiling = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        self._pages = False

    def before(self, how: str) -> None:
        """For a process that has not opened its journal."""
        soft = 0 if how == "no write" else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, self._ceiling))

    def squeeze(self, how: str, database: Database) -> None:
        if how == "no room" or self._pages:
            with Database.transaction(database) as connection:
                used = connection.exec_driver_sql("PRAGMA page_count").scalar()
                limit = used if how == "no room" else 2**31
                connection.exec_driver_sql(f"PRAGMA max_page_count={limit}")
            self._pages = how == "no room"
        self.before(how)


def say(channel: socket.socket, words: Mapping[str, object]) -> None:
    """One line to the conductor."""
    channel.sendall(json.dumps(words).encode() + b"\n")
