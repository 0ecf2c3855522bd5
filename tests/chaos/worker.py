"""The agent under the storm: the real lane, journal, record and recovery around a very small book.

The book is a list of wanted marks. What is missing is read from the chain at each head, as a venue's state
would be, and one hedge does one mark. A zygote that has imported everything forks the processes, so that a
start costs milliseconds.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from eth_utils.crypto import keccak
from sqlalchemy import Connection

from agent.chain.head import latest
from agent.chain.lens import read_one
from agent.chain.rpc import Rpc
from agent.errors import (
    DecodeMismatch,
    EvenkeelError,
    JournalLocked,
    LaneBusy,
    Refused,
    RpcRejected,
    SignerRefused,
    SignerUnavailable,
    Transient,
)
from agent.market.intent import Urgency
from agent.planning.policy import Policy
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.record import Record
from agent.risk.limits import Bounds
from agent.runtime.aftermath import settle
from agent.runtime.cycle import Desk
from agent.runtime.see import Eye
from agent.runtime.supervisor import ODD_ANSWERS, on_next_heads, recover
from agent.tx.channel import Channel
from agent.tx.errand import Errand, Route
from agent.tx.executor import Hedge, Intent, find_intent
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Rung, Seal
from agent.tx.lane import LanePolicy
from agent.tx.ledger import Outcome, Request
from agent.tx.sender import Sender
from agent.tx.signer import GROUP_ORDER, KeystoreSigner
from agent.values.address import Address, ChainId, TxHash, parse_address
from agent.values.block import Block
from agent.values.call import Call
from agent.values.check import Check, Term

PASSWORD = "correct horse"
GWEI = 10**9
MINT = keccak(text="mint(address,uint256)")[:4]
BALANCE_OF = keccak(text="balanceOf(address)")[:4]
RESCUE_WEI, NORMAL_WEI = 5 * 10**16, 2 * 10**16  # budgets that a spike exceeds
PRIVATE_FOR = {"private_for_housekeeping": 4, "private_for_normal": 2, "private_for_rescue": 1}
CONFIRM_DEPTH = 4  # deeper than any reorganisation of the storm
LIFE_S = 600
HEAD_AGE_S = 300
LOCKED = 2  # exit codes, as the command line's
CRASHED = 70


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything is. Travels to the worker as JSON. The first of ``urls`` is read from."""

    urls: tuple[str, ...]
    relay: str  # a private endpoint; empty for none
    journal: str
    keystore: str
    executor: str
    token: str
    gate: str
    keeper: str
    chain_id: int
    timeout_s: float
    sabotage: str = ""


class Clock:
    """The wall clock, as the conductor wants it to be seen."""

    def __init__(self, start_s: float) -> None:
        self.now_s = start_s

    def __call__(self) -> float:
        return self.now_s


# --- what can happen inside the process --------------------------------------------------------------


@dataclass
class Reaper:
    """Kills its own process at the places it was told, without a last word to anybody but the conductor."""

    channel: socket.socket
    due: list[dict[str, str]] = field(default_factory=list)
    place: str = ""

    def strike(self, place: str, side: str) -> None:
        for order in self.due:
            if order["at"] == place and order["side"] == side:
                _say(self.channel, {"killed": order["id"]})
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


# --- the agent -----------------------------------------------------------------------------------------


class Agent:
    """One life: opened, recovered at its first head, then one cycle per wake-up."""

    def __init__(self, place: Place, channel: socket.socket, clock: Clock, reaper: Reaper) -> None:
        self.place = place
        self.reaper = reaper
        self.clock = clock
        self.signer = MoodySigner(KeystoreSigner(Path(place.keystore), PASSWORD))
        self.database = MortalDatabase(Path(place.journal), clock, reaper)
        journal = MortalJournal(self.database, reaper)
        self.record = MortalRecord(self.database, reaper)
        rpcs = [MortalRpc(url, place.timeout_s, reaper) for url in place.urls]
        channels = [Channel(rpc) for rpc in rpcs]
        if place.relay:
            channels.append(Channel(MortalRpc(place.relay, place.timeout_s, reaper), Route.PRIVATE))
        self.rpc = rpcs[0]
        chain = ChainId(place.chain_id)
        fees = FeePolicy(NORMAL_WEI, max_rescue_cost_wei=RESCUE_WEI)
        policy = LanePolicy(fees, confirm_depth=CONFIRM_DEPTH, ladder_rungs=2, **PRIVATE_FOR)
        self.sender = Sender(
            self.rpc,
            self.signer,
            journal,
            chain,
            parse_address(place.executor),
            policy,
            channels,
            Seal("of the storm"),
        )
        eye = Eye(self.rpc, chain, ())
        self.desk = Desk(
            self.signer.address, eye, Policy(), Bounds({}, 0.0), sender=self.sender, recorder=self.record
        )
        self.recovered = False
        self.odd = 0
        self.done: set[int] = set()  # what a saboteur believes

    def wake(self, wanted: Sequence[tuple[int, str]]) -> str:
        """One cycle, with a supervisor's patience; what dropped it, or nothing."""
        try:
            self._cycle(wanted)
            self.odd = 0
        except (Transient, Refused) as error:
            if not self.recovered:
                raise
            return error.message
        except (RpcRejected, DecodeMismatch) as error:
            self.odd += 1
            if not self.recovered or self.odd >= ODD_ANSWERS:
                raise
            return error.message
        return ""

    def _cycle(self, wanted: Sequence[tuple[int, str]]) -> None:
        if not self.recovered:
            for attempt in on_next_heads():
                with attempt:
                    recover(self.desk, self._look())
            self.recovered = True
        block, sender = self._look(), self.sender
        settle(self.desk.eye, self.desk.account, sender, self.record, sender.observe(block))
        if not sender.is_delegated():
            try:
                sender.delegate(block)
            except LaneBusy:
                pass
            return
        due = self._due(wanted, block)
        if due:
            self._act(*due[0], block)

    def _look(self) -> Block:
        return latest(self.rpc, HEAD_AGE_S, self.clock())

    def _due(self, wanted: Sequence[tuple[int, str]], block: Block) -> list[tuple[int, Urgency]]:
        """What is missing at this block, the most urgent first."""
        if self.place.sabotage == "drops":
            wanted = [item for item in wanted if item[0] % 3]
        if self.place.sabotage == "forgets":
            found = [(item, Urgency(urgency)) for item, urgency in wanted]
        else:
            token = parse_address(self.place.token)
            calls = [Call(token, BALANCE_OF + _word(int(sink(item), 16))) for item, _ in wanted]
            answers = self.rpc.calls(calls, block)
            found = [
                (item, Urgency(urgency))
                for (item, urgency), answer in zip(wanted, answers, strict=True)
                if int.from_bytes(answer.data, "big") == 0
            ]
        rank = {Urgency.RESCUE: 0, Urgency.NORMAL: 1, Urgency.HOUSEKEEPING: 2}
        return sorted(found, key=lambda due: (rank[due[1]], due[0]))

    def _act(self, item: int, urgency: Urgency, block: Block) -> None:
        chain = ChainId(self.place.chain_id)
        intent = read_one(self.rpc, block, find_intent(chain, self.sender.account, self.sender.epoch_hint()))
        if self.place.sabotage == "forgets":
            intent = Unruly(chain, self.sender.account, time.monotonic_ns())
        hedge = self._hedge(intent, item, block)
        # As the cycle does it: the decision is in the record before anything of it can be on chain.
        self.record.append("decision", {"item": item, "intent_id": intent.id, "block": block.number})
        try:
            sent = self.sender.submit(hedge, urgency, block)
        except LaneBusy:
            return
        except Refused as error:
            self.record.append("refused", {"item": item, "intent_id": intent.id, "reason": error.message})
            return
        self.record.append("transaction", {"item": item, "intent_id": intent.id, "tx_hash": sent.tx_hash})

    def _hedge(self, intent: Intent, item: int, block: Block) -> Hedge:
        token, gate = parse_address(self.place.token), parse_address(self.place.gate)
        target = parse_address(sink(item))
        mark = Call(token, MINT + _word(int(target, 16)) + _word(1), label="token.mint")
        held = Term(gate, BALANCE_OF + _word(int(self.place.keeper, 16)))
        kept = Term(token, BALANCE_OF + _word(int(target, 16)))
        pre = () if self.place.sabotage else (Check("the gate is open", (held,), 0, 0),)
        post = (Check("the mark is there", (kept,), 1, 2**255 - 1),)
        return Hedge(intent, block.timestamp_s + LIFE_S, (mark,), pre, post)

    def close(self) -> None:
        self.database.close()


class Unruly(Intent):
    """A saboteur's intent: it follows nothing and is never the same twice."""

    @property
    def order(self) -> tuple[Check, ...]:
        return ()


def sink(item: int) -> str:
    """Where the mark of an item is made: one address each, so that the chain counts them apart."""
    return f"0x{0x5EA0000000000 + item:040x}"


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


# --- a process -------------------------------------------------------------------------------------------


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


def live(place: Place, channel: socket.socket) -> int:
    """Until the channel closes, or something ends the agent. The exit code."""
    reader = channel.makefile("r")
    reaper, disk = Reaper(channel), Disk()
    agent: Agent | None = None
    for line in reader:
        order = json.loads(line)
        reaper.due = order.get("kills", [])
        if agent is None:
            disk.before(order.get("disk", ""))
        told: dict[str, object] = {"error": "", "signer": 0, "disk": 0, "open": -1}
        code = 0
        try:
            if agent is None:
                agent = Agent(place, channel, Clock(order["now_s"]), reaper)
            agent.clock.now_s = order["now_s"]
            disk.squeeze(order.get("disk", ""), agent.database)
            agent.signer.mood, agent.signer.met = order.get("signer", ""), 0
            told["error"] = agent.wake([(item, urgency) for item, urgency in order["wanted"]])
            disk.squeeze("", agent.database)
            told["open"] = len(agent.sender.in_flight())
        except JournalLocked as error:
            told, code = told | {"locked": True, "error": error.message}, LOCKED
        except EvenkeelError as error:
            told, code = told | {"ended": error.code, "error": error.message}, error.exit_code
        except Exception as error:  # noqa: BLE001 - a crash is a finding: it is told, then it is a death
            told, code = told | {"ended": "crash", "error": repr(error)}, CRASHED
            import traceback

            told["trace"] = traceback.format_exc()[-2500:]
        if agent is not None:
            told["signer"] = agent.signer.met
            disk.before("")
        told["disk"] = int("cannot be written" in str(told["error"]))
        _say(channel, told | {"done": True, "code": code})
        if code:
            return code
    return 0


def _say(channel: socket.socket, words: Mapping[str, object]) -> None:
    channel.sendall(json.dumps(words).encode() + b"\n")


# --- the zygote ------------------------------------------------------------------------------------------


def zygote(control: socket.socket) -> None:
    """Forks a worker for every message that comes with an open channel; tells its process id."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits: the channel's end tells
    while True:
        message, handles, _, _ = socket.recv_fds(control, 65536, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            fields = json.loads(message)
            place = Place(**fields | {"urls": tuple(fields["urls"])})
            code = CRASHED
            try:
                code = live(place, socket.socket(fileno=handles[0]))
            finally:
                os._exit(code)
        os.close(handles[0])
        control.sendall(struct.pack("I", pid))


if __name__ == "__main__":
    zygote(socket.socket(fileno=int(sys.argv[1])))
