"""The lane and its journal against a chain that does everything wrong, in any order.

The chain here is a model with the rules of the strictest pools: 10 % more on both fees to replace, and one
transaction in flight for a delegated account. What may not happen is counted on the model, not in our books.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from coincurve import PrivateKey
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agent.chain.rpc import FeeHistory, RpcResult
from agent.chain.transport import Json
from agent.errors import (
    ReadUnpinned,
    Refused,
    RpcRejected,
    RpcTimeout,
    SignerUnavailable,
)
from agent.market.intent import Urgency
from agent.proof.database import Database
from agent.proof.journal import Journal
from agent.tx.channel import Channel, Method
from agent.tx.errand import Errand, Route
from agent.tx.executor import HEDGE_EXECUTED, Hedge, Intent, decode_hedge, delegation_code, intent_id
from agent.tx.fees import FeePolicy
from agent.tx.ladder import Rung, Seal
from agent.tx.lane import LanePolicy
from agent.tx.ledger import Outcome, Wish
from agent.tx.sender import Sender
from agent.tx.signer import address_of
from agent.tx.transaction import Fee, Transaction, decode
from agent.values.address import Address, BlockHash, ChainId, TxHash
from agent.values.block import Block

CHAIN = ChainId(31337)
EXECUTOR = Address("0x00000000000000000000000000000000000051eE")
DEPTH = 3
BLOCK_S = 12
POLICY = LanePolicy(FeePolicy(max_cost_wei=10**18), confirm_depth=DEPTH, ladder_rungs=2)


FAULTS = (
    "lost before",
    "lost after",
    "lost after",
    "twice",
    "taken, and answered: nonce too low",
    "taken, and answered: something of its own",
    "refused: insufficient funds for gas * price + value",
    "refused: transaction underpriced",
    "refused: in-flight transaction limit reached for delegated accounts",
    "refused: nonce too low",
    "refused: for reasons of its own",
)


class MoodySigner:
    """A key in memory that may be out, or sign something else."""

    def __init__(self) -> None:
        self._key = PrivateKey(b"\x07" * 32)
        self.address = address_of(self._key.public_key)
        self.mood = "well"

    def sign_digest(self, digest: bytes) -> tuple[int, int]:
        if self.mood == "out":
            raise SignerUnavailable(signer="model", reason="it is out")
        if self.mood == "wrong":
            digest = keccak(digest)
        compact = self._key.sign_recoverable(digest, hasher=None)
        return int.from_bytes(compact[:32], "big"), int.from_bytes(compact[32:64], "big")


SIGNER = MoodySigner()
ACCOUNT = SIGNER.address
EPOCHS = {intent_id(CHAIN, ACCOUNT, epoch): epoch for epoch in range(64)}


class Killed(BaseException):
    """The process ended here."""


@dataclass(frozen=True)
class Mined:
    """A block of the model: its header, and the state after it."""

    block: Block
    nonce: int = 0
    effects: tuple[str, ...] = ()  # intents that executed, in order; twice is twice
    receipts: dict[str, dict[str, object]] = field(default_factory=dict)


class World:
    """A chain with a pool, and the faults of everything between it and us."""

    def __init__(self) -> None:
        genesis = Block(0, BlockHash("0x" + 64 * "0"), BlockHash("0x" + 64 * "0"), 1_000, 100, 30_000_000)
        self.blocks = [Mined(genesis)]
        self.pool: dict[int, tuple[Transaction, str]] = {}
        self.private: list[bytes] = []  # what builders know and nobody else
        self.forks = 0
        self.lag = 0
        self.fault = ""
        self.base_fee_wei = 100

    @property
    def tip(self) -> Mined:
        return self.blocks[-1]

    @property
    def shown(self) -> Mined:
        """What the node, which may be behind, takes for the newest."""
        return self.blocks[max(0, len(self.blocks) - 1 - self.lag)]

    def mined(self, block_hash: str) -> Mined | None:
        """The block of that name, if the node has it."""
        known = self.blocks[: self.blocks.index(self.shown) + 1]
        return next((one for one in known if one.block.hash == block_hash), None)

    def mine(self) -> None:
        before = self.tip
        number = before.block.number + 1
        name = "0x" + keccak(text=f"{number} {self.forks}").hex()
        block = Block(
            number,
            BlockHash(name),
            before.block.hash,
            before.block.timestamp_s + BLOCK_S,
            self.base_fee_wei,
            30_000_000,
        )
        nonce, effects, receipts = before.nonce, list(before.effects), dict(before.receipts)
        while (entry := self.pool.get(nonce)) and entry[0].fee.max_fee_wei >= self.base_fee_wei:
            del self.pool[nonce]
            nonce += 1
            transaction, tx_hash = entry
            done = _run(transaction, effects, block.timestamp_s)
            if done:
                effects.append(done)
            receipts[tx_hash] = _receipt(tx_hash, block, done or (transaction.data == b""), done)
        self.pool = {n: e for n, e in self.pool.items() if n >= nonce}
        self.blocks.append(Mined(block, nonce, tuple(effects), receipts))

    def reorg(self, depth: int) -> None:
        del self.blocks[-depth:]
        self.forks += 1
        for _ in range(depth + 1):
            self.pool, kept = {}, self.pool  # what was pooled is not mined in the new blocks
            self.mine()
            self.pool = kept
        self.pool = {n: e for n, e in self.pool.items() if n >= self.tip.nonce}

    def take_nonce(self) -> None:
        """Somebody else with our key."""
        before = self.tip
        self.mine()
        if self.tip.nonce == before.nonce:
            mined = self.blocks.pop()
            self.blocks.append(Mined(mined.block, before.nonce + 1, before.effects, before.receipts))
            self.pool = {n: e for n, e in self.pool.items() if n > before.nonce}

    def accept(self, raw: bytes) -> None:
        """A pool's rules. Raises RpcRejected in geth's words."""
        transaction, _ = decode(raw)
        tx_hash = "0x" + keccak(raw).hex()
        standing = self.pool.get(transaction.nonce)
        if transaction.nonce < self.tip.nonce:
            raise _refusal("nonce too low: next nonce")
        if standing and standing[1] == tx_hash:
            raise _refusal("already known")
        # as geth's checkDelegationLimit: one that is next in line bars all but its own replacement; one
        # that waits behind a gap bars nobody
        if transaction.nonce > self.tip.nonce or (self.tip.nonce in self.pool and not standing):
            raise _refusal("in-flight transaction limit reached for delegated accounts")
        if standing:
            old, new = standing[0].fee, transaction.fee
            if new.max_fee_wei * 10 < old.max_fee_wei * 11 or new.tip_wei * 10 < old.tip_wei * 11:
                raise _refusal("replacement transaction underpriced")
        self.pool[transaction.nonce] = (transaction, tx_hash)


def _run(transaction: Transaction, effects: Sequence[str], now_s: int) -> str:
    """The executor: what the transaction does, or nothing."""
    if not transaction.data:
        return ""
    intent, deadline_s = decode_hedge(transaction.data)
    epoch = EPOCHS[intent]
    before = {EPOCHS[done] for done in effects}
    refused = intent in effects or now_s >= deadline_s or (epoch > 0 and epoch - 1 not in before)
    return "" if refused else intent


def _refusal(reason: str) -> RpcRejected:
    return RpcRejected(endpoint="model", method="send", reason=reason, rpc_code=-32000, data=None)


def _receipt(tx_hash: str, block: Block, succeeded: object, intent: str) -> dict[str, object]:
    log = {"address": ACCOUNT, "topics": [HEDGE_EXECUTED, intent], "data": "0x"}
    return {
        "transactionHash": tx_hash,
        "from": ACCOUNT.lower(),
        "blockNumber": hex(block.number),
        "blockHash": block.hash,
        "status": "0x1" if succeeded else "0x0",
        "logs": [log] if intent else [],
        "gasUsed": hex(50_000),
        "effectiveGasPrice": hex(100),
    }


class ModelRpc:
    """Speaks for the world in the words of `agent.chain.rpc.Rpc`."""

    endpoint = "model"

    def __init__(self, world: World, fuse: Fuse) -> None:
        self._world = world
        self._fuse = fuse

    def nonce(self, account: Address, at: object = "latest") -> int:
        return self._world.shown.nonce

    def balance(self, account: Address, at: object = "latest") -> int:
        return 10**21

    def code(self, account: Address, at: object = "latest") -> bytes:
        return delegation_code(EXECUTOR) if account == ACCOUNT else b""

    def fee_history(self, blocks: int, percentiles: Sequence[float], newest: object = "") -> FeeHistory:
        return FeeHistory(0, (self._world.base_fee_wei,) * 2, (0.5,), ((2,) * len(percentiles),))

    def estimate_gas(self, call: object, at: object = "", overrides: object = None) -> int:
        return 24_000

    def call(self, call: object, at: object, sender: object = None, overrides: object = None) -> object:
        raise _refusal("not asked in this model")

    @property
    def members(self) -> tuple[ModelRpc, ...]:
        return (self,)

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[RpcResult]:
        return [self._answer(method, params) for method, params in calls]

    def _answer(self, method: str, params: Sequence[object]) -> RpcResult:
        shown = self._world.shown
        if method == "eth_getTransactionReceipt":
            return RpcResult(shown.receipts.get(str(params[0])))
        if method == "eth_getTransactionCount":
            at = params[1]
            mined = self._world.mined(str(at["blockHash"])) if isinstance(at, dict) else shown
            gone = _refusal("header not found")
            return RpcResult(error=gone) if mined is None else RpcResult(hex(mined.nonce))
        mined = self._world.mined(str(params[0]))
        if mined is None:
            return RpcResult()
        if method == "eth_getBlockReceipts":
            own = [one for one in mined.receipts.values() if one["blockHash"] == mined.block.hash]
            return RpcResult(cast(Json, own))
        assert method == "eth_getBlockByHash"
        return RpcResult(
            {
                "number": hex(mined.block.number),
                "hash": mined.block.hash,
                "parentHash": mined.block.parent_hash,
                "timestamp": hex(mined.block.timestamp_s),
                "gasLimit": hex(mined.block.gas_limit),
            }
        )

    def simulate_v1(self, payload: dict[str, object], at: object = "pending") -> list[object]:
        (block,) = payload["blockStateCalls"]  # type: ignore[misc]
        data = bytes.fromhex(block["calls"][0]["data"][2:])
        shown, effects = self._world.shown, list(self._world.shown.effects)
        now_s = shown.block.timestamp_s + 1
        if at == "pending":
            for transaction, _ in self._world.pool.values():
                effects += filter(None, [_run(transaction, effects, now_s)])
        transaction = Transaction(CHAIN, 0, Fee(1, 1), 1, ACCOUNT, 0, data)
        done = _run(transaction, effects, now_s)
        call = _receipt("0x", shown.block, done, done) | {
            "error": {"code": 3, "message": "execution reverted"}
        }
        return [{"calls": [call]}]

    def send_raw(self, raw: bytes) -> TxHash:
        self._fuse.burn()
        fault, self._world.fault = self._world.fault, ""
        if fault == "lost before":
            raise RpcTimeout(endpoint="model", method="send", timeout_s=1)
        if fault.startswith("refused: "):  # by another node behind the same name, which does not know it
            raise _refusal(fault.removeprefix("refused: "))
        if fault == "twice":
            self._world.accept(raw)
        self._world.accept(raw)
        self._fuse.burn()
        if fault == "lost after":
            raise RpcTimeout(endpoint="model", method="send", timeout_s=1)
        if fault.startswith("taken, and answered: "):  # two nodes behind one name, and both got it
            raise _refusal(fault.removeprefix("taken, and answered: "))
        return TxHash("0x" + keccak(raw).hex())


class ModelRelay:
    """Shows what it is sent to nobody, until a builder delivers it."""

    endpoint = "relay"

    def __init__(self, world: World, fuse: Fuse) -> None:
        self._world = world
        self._fuse = fuse

    def send_private(self, raw: bytes, max_block: int) -> TxHash:
        self._fuse.burn()
        fault, self._world.fault = self._world.fault, ""
        if fault == "lost before":
            raise RpcTimeout(endpoint="relay", method="send", timeout_s=1)
        self._world.private.append(raw)
        self._fuse.burn()
        if fault == "lost after":
            raise RpcTimeout(endpoint="relay", method="send", timeout_s=1)
        return TxHash("0x" + keccak(raw).hex())


@dataclass
class Fuse:
    """Ends the process at the n-th boundary from now; never while it is below zero."""

    left: int = -1

    def burn(self) -> None:
        if self.left == 0:
            self.left = -1
            raise Killed
        self.left -= self.left > 0


class MortalJournal(Journal):
    """May end before and after every commit."""

    def __init__(self, database: Database, fuse: Fuse) -> None:
        super().__init__(database)
        self._fuse = fuse

    def open(self, errand: Errand) -> Errand:
        self._fuse.burn()
        opened = super().open(errand)
        self._fuse.burn()
        return opened

    def save(self, errand: Errand, outcomes: Sequence[Outcome] = ()) -> None:
        self._fuse.burn()
        super().save(errand, outcomes)
        self._fuse.burn()

    def climb(self, errand: Errand, rungs: Sequence[Rung]) -> None:
        self._fuse.burn()
        super().climb(errand, rungs)
        self._fuse.burn()


class LaneMachine(RuleBasedStateMachine):
    """Two agents of one account, each with a journal, on one chain."""

    @initialize(has_relay=st.booleans())
    def begin(self, has_relay: bool) -> None:
        self.has_relay = has_relay
        SIGNER.mood = "well"
        self.folder = Path(tempfile.mkdtemp())
        self.world = World()
        self.fuse = Fuse()
        self.databases: list[Database] = []
        self.journals: list[Journal] = []
        self.senders: list[Sender] = []
        for name in ("one.db", "two.db"):
            database = self._database(name)
            self.databases.append(database)
            self.journals.append(MortalJournal(database, self.fuse))
            self.senders.append(self._sender(self.journals[-1]))

    def _database(self, name: str) -> Database:
        return Database(self.folder / name, self._now_s)

    def _now_s(self) -> float:
        return self.world.tip.block.timestamp_s

    def _sender(self, journal: Journal) -> Sender:
        rpc = ModelRpc(self.world, self.fuse)
        relay = ModelRelay(self.world, self.fuse)
        channels = [Channel(rpc)]  # type: ignore[arg-type]
        if self.has_relay:
            channels.append(Channel(relay, Route.PRIVATE, Method.PRIVATE))  # type: ignore[arg-type]
        seal = Seal("the owner's")
        return Sender(rpc, SIGNER, journal, CHAIN, EXECUTOR, POLICY, channels, seal)  # type: ignore[arg-type]

    def _alive(self, who: int, do: str, *args: object) -> None:
        """One call of the agent; if it ends in the middle, another process takes its journal over."""
        try:
            getattr(self.senders[who], do)(*args)
        except (Refused, ReadUnpinned, SignerUnavailable):
            pass
        except Killed:
            self.senders[who] = self._sender(self.journals[who])
        self.fuse.left = -1

    def _epoch(self) -> int:
        return len(set(self.world.shown.effects))

    @rule(
        who=st.sampled_from([0, 0, 0, 1]),
        urgency=st.sampled_from(list(Urgency)),
        life=st.sampled_from([1, 3, 40]),
        kill=st.integers(-1, 8),
    )
    def submit(self, who: int, urgency: Urgency, life: int, kill: int) -> None:
        head = self.world.shown.block
        intent = Intent(CHAIN, ACCOUNT, self._epoch())
        hedge = Hedge(intent, head.timestamp_s + life * BLOCK_S, (), (), ())
        self.fuse.left = kill
        self._alive(who, "submit", hedge, urgency, head)

    @rule(who=st.sampled_from([0, 0, 0, 1]), kill=st.integers(-1, 8))
    def observe(self, who: int, kill: int) -> None:
        self.fuse.left = kill
        self._alive(who, "observe", self.world.shown.block)

    @rule(who=st.sampled_from([0, 1]))
    def restart(self, who: int) -> None:
        self.senders[who] = self._sender(self.journals[who])
        self._alive(who, "recover", self.world.shown.block)

    @rule(count=st.integers(1, 4))
    def mine(self, count: int) -> None:
        for _ in range(count):
            self.world.mine()

    @precondition(lambda self: len(self.world.blocks) > DEPTH)
    @rule(depth=st.integers(1, DEPTH - 1))
    def reorg(self, depth: int) -> None:
        self.world.reorg(depth)

    @rule()
    def evict(self) -> None:
        self.world.pool.clear()

    @rule()
    def take_nonce(self) -> None:
        self.world.take_nonce()

    @rule(fault=st.sampled_from(FAULTS))
    def next_send(self, fault: str) -> None:
        self.world.fault = fault

    @rule(who=st.sampled_from([0, 0, 0, 1]), urgency=st.sampled_from(list(Urgency)), kill=st.integers(-1, 8))
    def press(self, who: int, urgency: Urgency, kill: int) -> None:
        """What was sent is stuck, for long enough to be outbid."""
        self.submit(who, urgency, 40, -1)
        before, self.world.base_fee_wei = self.world.base_fee_wei, 10**6
        for _ in range(POLICY.pace(urgency).bump_after):
            self.world.mine()
        self.fuse.left = kill
        self._alive(who, "observe", self.world.shown.block)
        self.world.base_fee_wei = before

    @rule(count=st.integers(1, 2), urgency=st.sampled_from(list(Urgency)), life=st.sampled_from([3, 40]))
    def strand(self, count: int, urgency: Urgency, life: int) -> None:
        """Somebody else's transactions below ours go away for good."""
        if self.world.lag or self.world.pool:
            return
        for _ in range(count):
            self.take_nonce()
        self.submit(0, urgency, life, -1)
        self.world.reorg(min(count, len(self.world.blocks) - 1))
        for _ in range(DEPTH):
            self.world.mine()
            self._alive(0, "observe", self.world.shown.block)

    @rule(mood=st.sampled_from(["well", "well", "out", "wrong"]))
    def sign(self, mood: str) -> None:
        SIGNER.mood = mood

    @rule(which=st.integers(0, 5))
    def deliver(self, which: int) -> None:
        """A builder puts something of ours into the next block, the newest or an old one."""
        if self.world.private:
            raw = self.world.private[-1 - which % len(self.world.private)]
            with suppress(RpcRejected):
                self.world.accept(raw)

    @rule(who=st.sampled_from([0, 1]), wish=st.sampled_from(list(Wish)), kill=st.integers(-1, 8))
    def wish(self, who: int, wish: Wish, kill: int) -> None:
        for errand in self.journals[who].live(CHAIN, ACCOUNT)[-1:]:
            self.journals[who].request(errand.id, wish)
        self.observe(who, kill)

    @rule(factor=st.sampled_from([1, 1, 5, 50]))
    def fees(self, factor: int) -> None:
        self.world.base_fee_wei = 100 * factor

    @rule(lag=st.sampled_from([0, 0, 1, 2]))
    def lag(self, lag: int) -> None:
        self.world.lag = lag

    @invariant()
    def no_intent_happens_twice(self) -> None:
        if hasattr(self, "world"):
            doubled = [i for i, times in Counter(self.world.tip.effects).items() if times > 1]
            assert doubled == []

    @invariant()
    def what_a_pool_holds_is_in_a_journal_and_alive(self) -> None:
        if hasattr(self, "world"):
            known = {
                attempt.tx_hash
                for journal in self.journals
                for errand in journal.live(CHAIN, ACCOUNT)
                for attempt in errand.attempts
                if attempt.may_live
            }
            tip = self.world.tip
            unknown = [t for t, tx_hash in self.world.pool.values() if tx_hash not in known]
            assert not any(_run(t, list(tip.effects), tip.block.timestamp_s + 1) for t in unknown), (
                "what was let go can have an effect"
            )

    def teardown(self) -> None:
        """When the faults end, everything settles by itself, in bounded time, and the lane works again."""
        if not hasattr(self, "world"):
            return
        try:
            self.world.lag, self.world.fault, self.world.base_fee_wei = 0, "", 100
            SIGNER.mood = "well"
            self._settle()
            head, intent = self.world.tip.block, Intent(CHAIN, ACCOUNT, self._epoch())
            hedge = Hedge(intent, head.timestamp_s + 600, (), (), ())
            self.senders[0].submit(hedge, Urgency.NORMAL, head)
            self._settle()
            assert self.world.tip.effects[-1] == hedge.intent_id
            self.no_intent_happens_twice()
        finally:
            for database in self.databases:
                database.close()
            shutil.rmtree(self.folder)

    def _settle(self) -> None:
        for _ in range(60):
            for sender in self.senders:
                sender.recover(self.world.tip.block)
            self.world.mine()
            if not any(sender.in_flight() for sender in self.senders):
                return
        raise AssertionError([sender.in_flight() for sender in self.senders])


TestLane = LaneMachine.TestCase
TestLane.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
