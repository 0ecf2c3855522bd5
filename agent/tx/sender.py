"""The lane: how one account's hedges reach the chain, each exactly once.

Whatever is about to be done is committed to the ledger first: the intent and its nonce, then every signed
transaction (replacements and cancellations too), then what came of it. A process killed between any two
statements leaves a ledger from which `observe` goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.chain.rpc import Rpc
from agent.errors import (
    BalanceTooLow,
    DelegationMismatch,
    FeeCapExceeded,
    LaneBusy,
    PlanExpired,
    TransactionRejected,
)
from agent.market.intent import Urgency
from agent.tx import attempt as life
from agent.tx.attempt import (
    NO_INTENT,
    Attempt,
    Decision,
    Errand,
    Fault,
    Pace,
    Purpose,
    Reply,
    Stage,
    Verdict,
)
from agent.tx.executor import Hedge, delegate_of, delegation_code, encode_hedge
from agent.tx.fees import FeePolicy, bid, bump
from agent.tx.ledger import Ledger, Outcome
from agent.tx.network import Network
from agent.tx.nonce import check_final, lease
from agent.tx.signer import Signer, sign_authorization, sign_transaction
from agent.tx.simulation import Simulated, Simulator, gas_limit
from agent.tx.transaction import Fee, Transaction, decode
from agent.values.address import Address, ChainId, IntentId, TxHash
from agent.values.block import Block

_RANK = {Urgency.HOUSEKEEPING: 0, Urgency.NORMAL: 1, Urgency.RESCUE: 2}


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """``confirm_depth`` 1 is the block itself; ``bump_after``: blocks before an urgency is outbid."""

    fees: FeePolicy
    confirm_depth: int = 2
    bump_after_housekeeping: int = 6
    bump_after_normal: int = 3
    bump_after_rescue: int = 1

    def pace(self, urgency: Urgency) -> Pace:
        """How patient to be with an errand of this urgency."""
        after = {
            Urgency.HOUSEKEEPING: self.bump_after_housekeeping,
            Urgency.NORMAL: self.bump_after_normal,
            Urgency.RESCUE: self.bump_after_rescue,
        }
        return Pace(self.confirm_depth, after[urgency])


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction that left, or may have left (``reply`` says), or waits to be outbid."""

    errand_id: int
    intent_id: IntentId
    nonce: int
    tx_hash: TxHash
    reply: Reply
    fee: Fee
    gas: int


class Sender:
    """One account's lane. Not for two threads at once."""

    def __init__(
        self,
        rpc: Rpc,
        signer: Signer,
        ledger: Ledger,
        chain_id: ChainId,
        executor: Address,
        policy: LanePolicy,
    ) -> None:
        self._network = Network(rpc)
        self._simulator = Simulator(rpc, executor)
        self._signer = signer
        self._ledger = ledger
        self._chain_id = chain_id
        self._executor = executor
        self._policy = policy

    @property
    def account(self) -> Address:
        return self._signer.address

    @property
    def executor(self) -> Address:
        return self._executor

    # --- what the cycle asks for -------------------------------------------------------------------

    def epoch_hint(self) -> int:
        """Where `find_intent` should look first."""
        return self._ledger.epoch_hint(self._chain_id, self.account)

    def in_flight(self) -> tuple[Errand, ...]:
        """Errands that hold the lane or wait for their depth."""
        return self._ledger.live(self._chain_id, self.account)

    def is_delegated(self) -> bool:
        """Whether the account runs our executor. Raises DelegationMismatch if it runs something else."""
        code = self._network.code(self.account)
        if code and code != delegation_code(self._executor):
            actual = delegate_of(code) if len(code) == 23 else f"{len(code)} bytes"
            raise self._mismatch(f"a delegation to {actual}")
        return bool(code)

    def delegate(self, head: Block) -> tuple[Sent, ...]:
        """Let the account run the executor (type 4, self-sponsored); nothing when it already does.

        Raises DelegationMismatch, LaneBusy, FeeCapExceeded, BalanceTooLow, TransactionRejected.
        """
        if self.is_delegated():
            return ()
        nonce = self._lease(head)
        authorization = sign_authorization(self._signer, self._chain_id, self._executor, nonce + 1)
        gas = gas_limit(self._network.estimate_gas(self.account, authorization))
        fee = bid(self._network.history(), Urgency.NORMAL, self._policy.fees, gas)
        transaction = self._transaction(nonce, fee, gas, b"")
        transaction = replace(transaction, authorizations=(authorization,))
        self._require_balance(transaction)
        errand = self._errand(nonce, Purpose.DELEGATION, NO_INTENT, 0, Urgency.NORMAL, 0)
        return (self._launch(self._ledger.open(errand), Purpose.DELEGATION, transaction, head),)

    def simulate(self, hedge: Hedge, head: Block, *, assume_delegated: bool = False) -> Simulated:
        """What the hedge would do, sending nothing. Raises SimulationReverted."""
        tag = "latest" if self._open() else "pending"
        return self._simulator.simulate(hedge, tag, head.gas_limit, assume_delegated=assume_delegated)

    def submit(self, hedge: Hedge, urgency: Urgency, head: Block) -> Sent:
        """Simulate, journal, sign, journal, send, journal.

        While an errand of the same intent is open, a more urgent hedge (or any, once the open one expired)
        takes its place at the same nonce. Raises PlanExpired, SimulationReverted, DelegationMismatch,
        LaneBusy, FeeCapExceeded, BalanceTooLow, TransactionRejected: nothing has left then.
        """
        if hedge.deadline_s <= head.timestamp_s:
            raise PlanExpired(intent_id=hedge.intent_id, deadline_s=hedge.deadline_s, now_s=head.timestamp_s)
        standing = self._open()
        if standing:
            self._require_precedence(standing[0], hedge, urgency, head)
            nonce = standing[0].nonce
        else:
            nonce = self._lease(head)
        if not self.is_delegated():
            raise self._mismatch("empty")
        gas = self.simulate(hedge, head).gas
        history, fees = self._network.history(), self._policy.fees
        if standing and standing[0].attempts:
            fee = bump(standing[0].base.fee, history, urgency, fees, gas)
        else:
            fee = bid(history, urgency, fees, gas)
        transaction = self._transaction(nonce, fee, gas, encode_hedge(hedge))
        self._require_balance(transaction)
        if standing:
            deadline_s = max(hedge.deadline_s, standing[0].deadline_s)
            errand = replace(standing[0], urgency=urgency, deadline_s=deadline_s)
        else:
            intent = hedge.intent
            planned = self._errand(nonce, Purpose.HEDGE, intent.id, intent.epoch, urgency, hedge.deadline_s)
            errand = self._ledger.open(planned)
        return self._launch(errand, Purpose.HEDGE, transaction, head)

    def observe(self, head: Block) -> tuple[Outcome, ...]:
        """Look at every live errand, act as the state machine says, and tell what happened.

        Outcomes are told again until they are acknowledged. Raises what the node and the journal raise.
        """
        holds_lane = False
        for before in self.in_flight():
            errand = self._look(before, head)
            if errand.is_open and not holds_lane:
                holds_lane = True  # only the lowest open nonce is acted on; the others cannot be mined yet
                if not self._fill_gap(errand, head):
                    self._act(errand, head)
        return self._ledger.unreported(self._chain_id, self.account)

    def recover(self, head: Block) -> tuple[Outcome, ...]:
        """`observe` after a start: also checks that what was final still is. Raises DeepReorg."""
        final = self._ledger.last_final(self._chain_id, self.account)
        check_final(self._network.nonce(self.account), final, head.number)
        return self.observe(head)

    def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        """The outcomes are in the record."""
        self._ledger.acknowledge(outcomes)

    # --- looking -----------------------------------------------------------------------------------

    def _look(self, before: Errand, head: Block) -> Errand:
        errand = life.resumed(before)
        sight = self._network.sight(errand, head.number)
        errand, stages = life.observed(errand, sight, self._policy.pace(errand.urgency))
        if errand != before:
            self._ledger.save(errand, [self._outcome(errand, stage, head) for stage in stages])
        return errand

    def _outcome(self, errand: Errand, stage: Stage, head: Block, reason: str = "") -> Outcome:
        mined = errand.inclusion
        verdict = errand.verdict
        if stage is Stage.INCLUDED and mined is not None and verdict is Verdict.REVERTED:
            gas = errand.attempt(mined.tx_hash).gas
            transaction, _ = decode(errand.attempt(mined.tx_hash).raw)
            replay = self._network.why(self.account, transaction.data, mined.block_number - 1)
            reason = "it ran out of gas" if mined.gas_used >= gas else replay
        if errand.purpose is Purpose.DELEGATION and verdict is Verdict.EXECUTED:
            verdict = Verdict.EXECUTED if self.is_delegated() else Verdict.VOID
        if verdict is Verdict.VOID and not reason:
            reason = "it was mined and nothing happened: the account did not run the executor"
        newest = errand.attempts[-1].tx_hash if errand.attempts else TxHash("")
        return Outcome(
            errand_id=errand.id,
            intent_id=errand.intent_id,
            epoch=errand.epoch,
            purpose=errand.purpose,
            nonce=errand.nonce,
            stage=stage,
            verdict=verdict,
            tx_hash=mined.tx_hash if mined else newest,
            head=head.number,
            block_number=mined.block_number if mined else 0,
            block_hash=mined.block_hash if mined else "",
            gas_used=mined.gas_used if mined else 0,
            fee_wei=mined.fee_wei if mined else 0,
            reason=reason,
        )

    # --- acting ------------------------------------------------------------------------------------

    def _act(self, errand: Errand, head: Block) -> None:
        pace = self._policy.pace(errand.urgency)
        match life.decide(errand, head.number, head.timestamp_s, pace):
            case Decision.RESEND:
                self._resend(errand, head)
            case Decision.BUMP:
                self._outbid(errand, errand.attempts[-1].purpose, head)
            case Decision.CANCEL:
                self._outbid(errand, Purpose.CANCEL, head)
            case Decision.GIVE_UP:
                reason = errand.attempts[-1].reason if errand.attempts else "it was never signed"
                self._abandon(errand, head, reason)
            case Decision.WAIT | Decision.DONE:
                pass

    def _fill_gap(self, errand: Errand, head: Block) -> bool:
        """Whether a nonce below the errand's was free, and something is on its way to use it up.

        A reorganisation may take somebody else's transactions off the chain for good, and ours then waits
        behind nonces that nobody will use. A transaction that does nothing takes the lowest of them; should
        the node only be behind, it is refused or never mined, which does no harm.
        """
        began_at = errand.attempts[0].signed_at if errand.attempts else head.number
        if head.number < began_at + self._policy.confirm_depth:
            return False  # what was reorganised away is usually back by then
        nonce = self._network.nonce(self.account)
        if nonce >= errand.nonce:
            return False
        gas = gas_limit(self._network.estimate_gas(self.account))
        try:
            fee = bid(self._network.history(), errand.urgency, self._policy.fees, gas)
            transaction = self._transaction(nonce, fee, gas, b"")
            self._require_balance(transaction)
            filler = self._errand(nonce, Purpose.CANCEL, NO_INTENT, 0, errand.urgency, 0)
            self._launch(self._ledger.open(filler), Purpose.CANCEL, transaction, head)
        except (FeeCapExceeded, BalanceTooLow, LaneBusy, TransactionRejected):
            return False  # the next head sees the gap again
        return True

    def _resend(self, errand: Errand, head: Block) -> None:
        again = next((a for a in reversed(errand.attempts) if a.may_live), errand.attempts[-1])
        errand = self._broadcast(errand, again, head)
        self._ledger.save(errand, [self._outcome(errand, Stage.RESENT, head)])

    def _outbid(self, errand: Errand, purpose: Purpose, head: Block) -> None:
        """A replacement at the same nonce, within the budget; else the last attempt is kept alive."""
        last, _ = decode(errand.attempts[-1].raw)
        data, gas, authorizations = last.data, last.gas, last.authorizations
        if purpose is Purpose.CANCEL:
            data, authorizations = b"", ()
            gas = gas_limit(self._network.estimate_gas(self.account))
        try:
            fee = bump(errand.base.fee, self._network.history(), errand.urgency, self._policy.fees, gas)
            transaction = replace(
                self._transaction(errand.nonce, fee, gas, data), authorizations=authorizations
            )
            self._require_balance(transaction)
        except (FeeCapExceeded, BalanceTooLow) as error:
            if not errand.may_live:
                self._abandon(errand, head, error.message)
                return
            self._ledger.save(errand, [self._outcome(errand, Stage.CAPPED, head, error.message)])
            self._resend(errand, head)
            return
        stage = Stage.CANCELLING if purpose is Purpose.CANCEL else Stage.BUMPED
        errand, attempt = self._sign(errand, purpose, transaction, head)
        self._ledger.save(errand, [self._outcome(errand, stage, head)])
        self._ledger.save(self._broadcast(errand, attempt, head))

    def _abandon(self, errand: Errand, head: Block, reason: str) -> None:
        errand = life.abandoned(errand)
        self._ledger.save(errand, [self._outcome(errand, Stage.ABANDONED, head, reason)])

    def _launch(self, errand: Errand, purpose: Purpose, transaction: Transaction, head: Block) -> Sent:
        errand, attempt = self._sign(errand, purpose, transaction, head)
        self._ledger.save(errand)
        errand = self._broadcast(errand, attempt, head)
        sent = errand.attempts[-1]
        if errand.may_live or sent.fault in (Fault.UNDERPRICED, Fault.CROWDED):
            self._ledger.save(errand)
            return Sent(
                errand.id, errand.intent_id, errand.nonce, sent.tx_hash, sent.reply, sent.fee, sent.gas
            )
        self._abandon(errand, head, sent.reason)
        raise TransactionRejected(endpoint=self._network.endpoint, reason=sent.reason)

    def _sign(
        self, errand: Errand, purpose: Purpose, transaction: Transaction, head: Block
    ) -> tuple[Errand, Attempt]:
        done = sign_transaction(self._signer, transaction)
        attempt = Attempt(done.hash, purpose, done.raw, transaction.fee, transaction.gas, head.number)
        return life.signed(errand, attempt), attempt

    def _broadcast(self, errand: Errand, attempt: Attempt, head: Block) -> Errand:
        """Once. The attempt has been committed by the caller."""
        answer = self._network.send(attempt.raw, attempt.tx_hash)
        return life.replied(errand, attempt.tx_hash, answer.reply, answer.fault, answer.reason, head.number)

    # --- conditions --------------------------------------------------------------------------------

    def _open(self) -> tuple[Errand, ...]:
        """The errand that holds the lane, if one does."""
        return tuple(errand for errand in self.in_flight() if errand.is_open)[:1]

    def _lease(self, head: Block) -> int:
        final = self._ledger.last_final(self._chain_id, self.account)
        return lease(self._network.nonce(self.account), self.in_flight(), final, head.number)

    def _require_precedence(self, standing: Errand, hedge: Hedge, urgency: Urgency, head: Block) -> None:
        """The new hedge may take the standing errand's nonce only as another try of the same intent."""
        same = standing.purpose is Purpose.HEDGE and standing.intent_id == hedge.intent_id
        urgent = _RANK[urgency] > _RANK[standing.urgency]
        if not same or not (urgent or standing.is_expired(head.timestamp_s)):
            raise LaneBusy(address=self.account, nonce=standing.nonce, intent_id=standing.intent_id)

    def _require_balance(self, transaction: Transaction) -> None:
        balance_wei = self._network.balance_wei(self.account)
        if balance_wei < transaction.max_cost_wei:
            raise BalanceTooLow(
                address=self.account, balance_wei=balance_wei, needed_wei=transaction.max_cost_wei
            )

    def _mismatch(self, actual: str) -> DelegationMismatch:
        return DelegationMismatch(address=self.account, actual=actual, executor=self._executor)

    def _transaction(self, nonce: int, fee: Fee, gas: int, data: bytes) -> Transaction:
        return Transaction(self._chain_id, nonce, fee, gas, self.account, 0, data)

    def _errand(
        self, nonce: int, purpose: Purpose, intent: IntentId, epoch: int, urgency: Urgency, deadline_s: int
    ) -> Errand:
        return Errand(self._chain_id, self.account, nonce, purpose, intent, epoch, urgency, deadline_s)
