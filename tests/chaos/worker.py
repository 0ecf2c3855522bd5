"""The agent's process: the real lane, journal and record, keeping a book whose effects can be counted.

An order is one token that has to reach an address of its own. On every head the worker settles its lane,
looks which orders the chain does not have yet, and hedges the first of them, as the agent does with its book.
"""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from agent.chain.rpc import Rpc
from agent.errors import (
    EvenkeelError,
    Refused,
    SignerUnavailable,
    Transient,
)
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.proof.record import Record
from agent.runtime.supervisor import ODD, ODD_ANSWERS
from agent.tx.channel import Broadcast
from agent.tx.custody.keystore import KeystoreSigner
from agent.tx.errand import Errand, Route
from agent.tx.executor import Hedge, Intent, find_intent
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Rung, Seal
from agent.tx.lane import LanePolicy
from agent.tx.ledger import Outcome, Request
from agent.tx.sender import Sender
from agent.tx.signer import GROUP_ORDER
from agent.values.address import Address, ChainId, TxHash, parse_address
from agent.values.block import Block
from agent.values.call import Call
from agent.values.check import Check, Term
from tests.chaos.board import NONE, Board, Field

CHAIN = ChainId(31337)
POLICY = LanePolicy(
    FeePolicy(max_cost_wei=5 * 10**16, max_rescue_cost_wei=10**17), confirm_depth=4, ladder_rungs=2
)
BOUNDARIES = tuple(
    f"{when} {what}"
    for what in ("opening", "saving", "climbing", "acknowledging", "recording", "sending")
    for when in ("before", "after")
)
RPC_TIMEOUT_S = 0.35
POLL_S = 0.008
TICK_S = 0.06  # a look of our own when no head comes
WELL, OUT, WRONG, HIGH = range(4)
GATE = parse_address("0x" + "ca7e".zfill(40))
MINT = bytes.fromhex("40c10f19")  # mint(address,uint256)
BALANCE_OF = bytes.fromhex("70a08231")
T = TypeVar("T")


@dataclass(frozen=True)
class Post:
    """What a process of the agent is told at its start, and nothing else."""

    url: str
    folder: str
    journal: str
    keystore: str
    password: str
    executor: Address
    token: Address


def sink(order: int) -> Address:
    """Where an order's token goes."""
    return parse_address(f"0x51{order:038x}")


def balance_call(token: Address, holder: Address) -> Call:
    return Call(token, BALANCE_OF + bytes(12) + bytes.fromhex(holder[2:]))


def urgency_of(order: int) -> Urgency:
    return (Urgency.RESCUE, Urgency.HOUSEKEEPING, Urgency.NORMAL)[order % 3]


class Fuse:
    """Ends the process, as the kernel would, at the boundary that the board names."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def burn(self, boundary: str) -> None:
        wanted = self._board[Field.FUSE]
        if wanted != NONE and BOUNDARIES[wanted] == boundary:
            self._board[Field.FUSE] = NONE
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, do: Callable[[], T]) -> T:
        self.burn(f"before {what}")
        done = do()
        self.burn(f"after {what}")
        return done


class MortalJournal(Journal):
    """The journal, with a boundary before and after every commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        super().__init__(database)
        self._fuse = fuse

    def open(self, errand: Errand) -> Errand:
        return self._fuse.around("opening", lambda: super(MortalJournal, self).open(errand))

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        self._fuse.around("saving", lambda: super(MortalJournal, self).save(errand, outcomes))

    def climb(self, errand: Errand, rungs: Sequence[Rung]) -> None:
        self._fuse.around("climbing", lambda: super(MortalJournal, self).climb(errand, rungs))

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        self._fuse.around("acknowledging", lambda: super(MortalJournal, self).acknowledge(outcomes))

    def close_request(self, request: Request, answer: str) -> None:
        self._fuse.around("saving", lambda: super(MortalJournal, self).close_request(request, answer))


class MoodySigner:
    """A real key behind a signer that has bad days."""

    def __init__(self, signer: KeystoreSigner, board: Board) -> None:
        self._signer = signer
        self._board = board

    @property
    def address(self) -> Address:
        return self._signer.address

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        mood = self._board[Field.MOOD]
        if mood == OUT:
            raise SignerUnavailable(signer="moody", reason="it does not answer")
        r, s = self._signer.sign_digest(digest)
        if mood == WRONG:
            return r, s ^ 1
        return (r, max(s, GROUP_ORDER - s)) if mood == HIGH else (r, s)


class Worker:
    """One life of the agent."""

    def __init__(self, post: Post, board: Board) -> None:
        self._post = post
        self._board = board
        fuse = Fuse(board)
        self._rpc = Rpc(post.url, RPC_TIMEOUT_S)
        database = Database(Path(post.folder) / post.journal, lambda: time.time() + board[Field.CLOCK_S])
        self._record = Record(database)
        self._journal = MortalJournal(database, fuse)
        signer = MoodySigner(KeystoreSigner(Path(post.keystore), post.password), board)
        seal = Seal("chaos")
        self._sender = Sender(self._rpc, signer, self._journal, CHAIN, post.executor, POLICY, seal=seal)
        self._fuse = fuse
        self._odd = 0
        network = self._sender._network
        send = network.send

        def mortal_send(raw: bytes, tx_hash: TxHash, route: Route, head: int) -> Broadcast:
            return fuse.around("sending", lambda: send(raw, tx_hash, route, head))

        network.send = mortal_send  # type: ignore[method-assign]

    def live(self) -> None:
        """Until killed. Raises what would end the agent."""
        recovered = False
        seen, due = "", 0.0
        while True:
            _limit(full=bool(self._board[Field.DISK_FULL]))
            try:
                head = self._rpc.block("latest")
                if head.hash == seen and time.monotonic() < due:
                    time.sleep(POLL_S)
                    continue
                seen, due = head.hash, time.monotonic() + TICK_S
                if not recovered:
                    self._settle(self._sender.recover(head))
                    recovered = True
                self._turn(head)
                self._odd = 0
            except (Transient, Refused):
                time.sleep(POLL_S)
            except ODD:
                self._odd += 1
                if self._odd >= ODD_ANSWERS:
                    raise
            self._board[Field.SEEN] = int(seen[2:16] or "0", 16)
            self._board[Field.TURNS] += 1

    def _turn(self, head: Block) -> None:
        self._settle(self._sender.observe(head))
        orders = range(self._board[Field.FLOOR], self._board[Field.TARGET])
        token = self._post.token
        calls = [balance_call(token, GATE), *(balance_call(token, sink(order)) for order in orders)]
        answers = [int.from_bytes(a.data, "big") for a in self._rpc.calls(calls, head)]
        gate, held = answers[0], answers[1:]
        for order, amount in zip(orders, held, strict=True):
            if self._is_wanted(order, amount):
                self._hedge(order, gate, head)
                return

    def _hedge(self, order: int, gate: int, head: Block) -> None:
        intent = self._intent(head)
        mint = Call(
            self._post.token, MINT + bytes(12) + bytes.fromhex(sink(order)[2:]) + (1).to_bytes(32, "big")
        )
        term = Term(self._post.token, balance_call(self._post.token, GATE).data)
        pre = (Check("the gate is where it was", (term,), gate, gate),)
        life_s = (40, 200, 600)[order % 3]
        self._record_line("decision", {"order": order, "intent": intent.id})
        hedge = Hedge(intent, head.timestamp_s + life_s, (mint,), pre, ())
        self._sender.submit(hedge, urgency_of(order), head)

    def _intent(self, head: Block) -> Intent:
        reading = find_intent(CHAIN, self._sender.account, self._sender.epoch_hint())
        calls = next(reading)
        while True:
            answers = tuple(self._rpc.calls(calls, head))
            try:
                calls = reading.send(answers)
            except StopIteration as done:
                return done.value

    def _is_wanted(self, order: int, amount: int) -> bool:
        """Sabotage, for the tests of the checker: 1 does some work again that it has done, 2 drops some."""
        sabotage = self._board[Field.SABOTAGE]
        if sabotage == 1 and order % 3 == 1:
            return amount < 2
        return amount == 0 and not (sabotage == 2 and order % 3 == 1)

    def _settle(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            self._record_line("outcome", {"intent": outcome.intent_id, "stage": outcome.stage.value})
            self._sender.acknowledge((outcome,))

    def _record_line(self, kind: str, payload: dict[str, object]) -> None:
        self._fuse.around("recording", lambda: self._record.append(kind, payload))


def work(post: Post, board: Board) -> int:
    """One life; the exit code of its end."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    _limit(full=False)
    try:
        Worker(post, board).live()
    except EvenkeelError as error:
        with suppress(OSError), (Path(post.folder) / f"{post.journal}.halts").open("a") as log:
            log.write(f"{error.code}: {error.message}\n")
        return error.exit_code
    return 1


def _limit(*, full: bool) -> None:
    """A full disk, as the kernel says it: no file of ours may grow."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (0 if full else hard, hard))
