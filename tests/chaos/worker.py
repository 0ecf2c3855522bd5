"""The agent under the storm: the real lane, journal, record and recovery around a very small book.

The book is a list of wanted marks. What is missing is read from the chain at each head, as a venue's state
would be, and one hedge does one mark.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from eth_utils.crypto import keccak

from agent.chain.head import latest
from agent.chain.lens import read_one
from agent.errors import LaneBusy, Refused, Transient
from agent.market.intent import Urgency
from agent.planning.policy import Policy
from agent.risk.limits import Bounds
from agent.runtime.aftermath import settle
from agent.runtime.cycle import Desk
from agent.runtime.see import Eye
from agent.runtime.supervisor import ODD, ODD_ANSWERS, on_next_heads, recover
from agent.tx.channel import Channel
from agent.tx.custody.keystore import KeystoreSigner
from agent.tx.errand import Route
from agent.tx.executor import Hedge, Intent, find_intent
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Seal
from agent.tx.lane import LanePolicy
from agent.tx.sender import Sender
from agent.values.address import ChainId, parse_address
from agent.values.block import Block
from agent.values.call import Call
from agent.values.check import Check, Term
from tests.chaos.mortal import MoodySigner, MortalDatabase, MortalJournal, MortalRecord, MortalRpc, Reaper

PASSWORD = "correct horse"
GWEI = 10**9
MINT = keccak(text="mint(address,uint256)")[:4]
BALANCE_OF = keccak(text="balanceOf(address)")[:4]
RESCUE_WEI, NORMAL_WEI = 5 * 10**16, 2 * 10**16  # budgets that a spike exceeds
PRIVATE_FOR = {"private_for_housekeeping": 4, "private_for_normal": 2, "private_for_rescue": 1}
CONFIRM_DEPTH = 4  # deeper than any reorganisation of the storm
LIFE_S = 600
HEAD_AGE_S = 300


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


class Worker:
    """One life: opened, recovered at its first head, then one cycle per wake-up."""

    def __init__(self, place: Place, clock: Clock, reaper: Reaper) -> None:
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
        except ODD as error:
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
            with suppress(LaneBusy):
                sender.delegate(block)
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
